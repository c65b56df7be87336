//! The types of floating-point numbers that files of weights from elsewhere hold, as 32-bit floats; and what no number
//! among weights may be.

use crate::tensor::arrays::Array;
use half::{bf16, f16};

/// A type of floating-point numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    F32,
    F64,
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl Float {
    /// Bytes of one.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The numbers in `bytes`, whose length must be a multiple of a number's; those of 64 bits rounded to nearest, so
    /// that what is too large becomes an infinity.
    pub(super) fn decode(self, bytes: &[u8], order: ByteOrder) -> Vec<f32> {
        match self {
            Self::F16 => each(bytes, order, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Self::Bf16 => each(bytes, order, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Self::F32 => each(bytes, order, f32::from_le_bytes),
            Self::F64 => each(bytes, order, |bytes| f64::from_le_bytes(bytes) as f32),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], order: ByteOrder, number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let numbers = bytes.as_chunks::<N>().0.iter();
    match order {
        ByteOrder::Little => numbers.map(|bytes| number(*bytes)).collect(),
        ByteOrder::Big => {
            let reversed = |mut bytes: [u8; N]| {
                bytes.reverse();
                number(bytes)
            };
            numbers.map(|bytes| reversed(*bytes)).collect()
        }
    }
}

/// Why these arrays can be no weights, if so.
pub(super) fn fault(arrays: &[Array]) -> Option<String> {
    if arrays.is_empty() {
        return Some("it holds no array of floating-point numbers".into());
    }
    let broken = arrays.iter().find(|array| !array.is_finite())?;
    Some(format!("`{}` holds values that are no finite 32-bit floats (NaN, infinite, or too large)", broken.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_in_either_order_is_the_float_it_stands_for() {
        for (name, float, bytes, expected) in [
            ("half: 1.5, smallest denormal", Float::F16, vec![0x00, 0x3e, 0x01, 0x00], [1.5, 2f32.powi(-24)]),
            ("half: largest, infinity", Float::F16, vec![0xff, 0x7b, 0x00, 0xfc], [65504.0, f32::NEG_INFINITY]),
            ("bfloat16: -2, 3.140625", Float::Bf16, vec![0x00, 0xc0, 0x49, 0x40], [-2.0, 3.140_625]),
            ("32 bits", Float::F32, [1.5f32.to_le_bytes(), (-0.1f32).to_le_bytes()].concat(), [1.5, -0.1]),
            ("64 bits: rounded", Float::F64, [0.1f64.to_le_bytes(), (-3.0f64).to_le_bytes()].concat(), [0.1, -3.0]),
            (
                "64 bits: too large",
                Float::F64,
                [1e39f64.to_le_bytes(), 0f64.to_le_bytes()].concat(),
                [f32::INFINITY, 0.0],
            ),
        ] {
            assert_eq!(float.decode(&bytes, ByteOrder::Little), expected, "{name}");
            let size = bytes.len() / 2;
            let swapped: Vec<u8> = bytes.chunks(size).flat_map(|number| number.iter().rev().copied()).collect();
            assert_eq!(float.decode(&swapped, ByteOrder::Big), expected, "{name}, the highest byte first");
        }
    }
}
