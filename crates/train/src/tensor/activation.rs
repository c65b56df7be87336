//! Functions of single values that ops end with.

/// What an op does to each value before it stores it, or whoever reads it on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)` (Krizhevsky 2010, as MobileNets use it).
    Relu6,
}

impl Activation {
    /// Applied to one value. A value that is no number becomes zero, as in the kernels.
    pub fn apply(self, value: f32) -> f32 {
        match self {
            Self::None => value,
            Self::Relu => value.max(0.0),
            // `clamp` would keep what is no number.
            #[allow(clippy::manual_clamp)]
            Self::Relu6 => value.max(0.0).min(6.0),
        }
    }

    /// Whether the gradient goes through, by the value before the activation or after it: strictly inside the limits,
    /// as in PyTorch.
    pub fn passes(self, value: f32) -> bool {
        match self {
            Self::None => true,
            Self::Relu => value > 0.0,
            Self::Relu6 => value > 0.0 && value < 6.0,
        }
    }

    /// As kernels on GPUs take it (`activation.cuh`).
    #[cfg(feature = "cuda")]
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Relu => 1,
            Self::Relu6 => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_pytorchs_and_what_is_no_number_becomes_zero() {
        use Activation::{None, Relu, Relu6};
        for (activation, value, result, passes) in [
            (None, -3.0, -3.0, true),
            (Relu, -3.0, 0.0, false),
            (Relu, 0.0, 0.0, false),
            (Relu, 7.0, 7.0, true),
            (Relu, f32::NAN, 0.0, false),
            (Relu6, -0.5, 0.0, false),
            (Relu6, 5.5, 5.5, true),
            (Relu6, 6.0, 6.0, false),
            (Relu6, f32::INFINITY, 6.0, false),
            (Relu6, f32::NAN, 0.0, false),
        ] {
            assert_eq!((activation.apply(value), activation.passes(value)), (result, passes), "{activation:?} {value}");
        }
    }
}
