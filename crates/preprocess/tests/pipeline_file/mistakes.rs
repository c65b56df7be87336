//! Every mistake and what it is answered with.

mod augmentation;
mod division;
mod form;
mod values;

use super::{GOOD, load};

/// A mistake made in [`GOOD`](super::GOOD), and what it is answered with.
struct Mistake {
    name: &'static str,
    /// This text of the good file…
    replace: &'static str,
    /// … is replaced with this.
    with: &'static str,
    set: &'static [&'static str],
    answer: &'static str,
}

const fn in_file(name: &'static str, replace: &'static str, with: &'static str, answer: &'static str) -> Mistake {
    Mistake { name, replace, with, set: &[], answer }
}

const fn in_set(name: &'static str, set: &'static [&'static str], answer: &'static str) -> Mistake {
    Mistake { name, replace: "", with: "", set, answer }
}

#[test]
fn mistakes_are_answered_with_key_line_and_hint() {
    let mut wrong = String::new();
    for Mistake { name, replace, with, set, answer } in
        form::MISTAKES.iter().chain(values::MISTAKES).chain(augmentation::MISTAKES).chain(division::MISTAKES)
    {
        assert!(GOOD.contains(replace), "{name}: the good file has no `{replace}`");
        let content = if replace.is_empty() { GOOD.to_owned() } else { GOOD.replacen(replace, with, 1) };
        let error = load(content.as_bytes(), set).expect_err(name);
        if error != *answer {
            wrong += &format!("--- {name}\n{error}\n");
        }
    }
    assert!(wrong.is_empty(), "these answers differ:\n{wrong}");
}
