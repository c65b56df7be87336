//! Failures of a device, and the errors that they become.

use preprocess::Error;

/// Why a device failed.
pub trait DeviceFailure: std::fmt::Display {
    /// In the driver's words.
    fn in_words(&self) -> String {
        self.to_string()
    }

    /// Whether there was too little memory.
    fn is_out_of_memory(&self) -> bool {
        false
    }
}

/// How an error begins that says that a device had too little memory.
const OUT_OF_MEMORY: &str = "the device's memory is not enough";

/// Turns a device's error into one that names the op.
pub(crate) fn device_error<E: DeviceFailure>(op: &str) -> impl FnOnce(E) -> Error {
    move |error| match error.is_out_of_memory() {
        true => Error::new(format!("{OUT_OF_MEMORY} for {op}"))
            .because(error.in_words())
            .hint("set a smaller `train.batch_size` or smaller images, or compute on the processor: `--device cpu`"),
        false => Error::new(format!("the device failed in {op}")).because(error.in_words()),
    }
}

/// Whether [`device_error`] made this error of one that says so.
pub(crate) fn is_out_of_memory(error: &Error) -> bool {
    error.message().starts_with(OUT_OF_MEMORY)
}
