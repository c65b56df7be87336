//! Failures of a device, and the errors that they become.

use preprocess::{Error, ErrorKind};

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

/// Turns a device's error into one that names the op.
pub(crate) fn device_error<E: DeviceFailure>(op: &str) -> impl FnOnce(E) -> Error {
    move |error| match error.is_out_of_memory() {
        true => Error::new(format!("the device's memory is not enough for {op}"))
            .of_kind(ErrorKind::OutOfMemory)
            .because(error.in_words())
            .hint("set a smaller `train.batch_size` or smaller images, or compute on the processor: `--device cpu`"),
        false => Error::new(format!("the device failed in {op}")).because(error.in_words()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a driver says.
    struct Failure {
        out_of_memory: bool,
    }

    impl std::fmt::Display for Failure {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("CUDA_ERROR")
        }
    }

    impl DeviceFailure for Failure {
        fn is_out_of_memory(&self) -> bool {
            self.out_of_memory
        }
    }

    #[test]
    fn too_little_memory_is_told_by_the_kind_and_keeps_it() {
        for (out_of_memory, kind) in [(true, ErrorKind::OutOfMemory), (false, ErrorKind::Other)] {
            let error = device_error("conv1")(Failure { out_of_memory });
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(error.while_doing("training").because("x").hint("y").kind(), kind);
        }
    }
}
