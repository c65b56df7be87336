//! Readers of others that may panic on bytes that nobody wrote: the panic becomes an error, and nothing is printed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside a reader, where a panic is a finding about the file and no business of the
    /// screen's.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a reader on bytes that may be hostile. It must not leave anything half done that is used afterwards.
///
/// # Errors
/// What the reader says; `panicked(reason)` if it panicked.
pub fn contained<T, E>(read: impl FnOnce() -> Result<T, E>, panicked: impl FnOnce(&str) -> E) -> Result<T, E> {
    static QUIET_HOOK: Once = Once::new();
    QUIET_HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !READING.get() {
                print(info);
            }
        }));
    });
    READING.set(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    READING.set(false);
    result.unwrap_or_else(|_| Err(panicked("it is corrupt in a way that its format does not foresee")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_a_reader_is_a_finding() {
        let result: Result<(), String> = contained(|| panic!("index out of bounds"), str::to_owned);
        assert!(result.is_err_and(|reason| reason.contains("corrupt")));
        assert_eq!(contained(|| Ok(1), str::to_owned), Ok(1));
    }
}
