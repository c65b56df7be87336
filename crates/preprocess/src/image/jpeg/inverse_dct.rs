//! The inverse cosine transform of a block to fewer pixels than it has coefficients.
//!
//! ```text
//! x[n, m] = sum over k < H, l < W of s[k] s[l] X[k, l] cos(pi (2n + 1) k / 2H) cos(pi (2m + 1) l / 2W),   s[0] = 1/sqrt(8), s[k] = 1/2
//! ```
//! With H = W = 8 that is the transform of ITU-T T.81, A.3.3. With fewer points the coefficients of higher frequencies
//! are left out, and those that stay keep their meaning on a coarser grid. A block of chroma that stands for more
//! pixels than one of luma is given more points, so nothing needs to be enlarged afterwards. Single precision, one
//! rounding at the end, always the same order of operations: the same pixels on every machine.

use super::headers::ZIGZAG;

/// Dequantised coefficients, 8 a row, scaled by [`scale`]; behind them a place for those that are not needed.
pub(crate) type Coefficients = [f32; 128];

/// Where [`places`] sends the coefficients that are left out.
const UNNEEDED: u8 = 64;

/// `inverse(coefficients, rows, columns, pixels, stride)`: coefficients from `rows` and `columns` on are zero; the
/// pixels' lines lie `stride` bytes apart.
pub(crate) type Inverse = fn(&Coefficients, usize, usize, &mut [u8], usize);

/// The transform to `width` x `height` pixels: 1, 2, 4 or 8 each.
pub(crate) fn inverse(width: usize, height: usize) -> Option<Inverse> {
    Some(match (width, height) {
        (1, 1) => transform::<1, 1>,
        (1, 2) => transform::<1, 2>,
        (1, 4) => transform::<1, 4>,
        (1, 8) => transform::<1, 8>,
        (2, 1) => transform::<2, 1>,
        (2, 2) => transform::<2, 2>,
        (2, 4) => transform::<2, 4>,
        (2, 8) => transform::<2, 8>,
        (4, 1) => transform::<4, 1>,
        (4, 2) => transform::<4, 2>,
        (4, 4) => transform::<4, 4>,
        (4, 8) => transform::<4, 8>,
        (8, 1) => transform::<8, 1>,
        (8, 2) => transform::<8, 2>,
        (8, 4) => transform::<8, 4>,
        (8, 8) => transform::<8, 8>,
        _ => return None,
    })
}

/// `s[k] s[l]` of the `index`-th coefficient in zigzag order.
pub(crate) fn scale(index: usize) -> f32 {
    let factor = |frequency: u8| if frequency == 0 { std::f64::consts::FRAC_1_SQRT_2 / 2.0 } else { 0.5 };
    (factor(ZIGZAG[index] / 8) * factor(ZIGZAG[index] % 8)) as f32
}

/// For each coefficient in zigzag order its place in [`Coefficients`].
pub(crate) fn places(width: usize, height: usize) -> [u8; 64] {
    ZIGZAG.map(|place| if usize::from(place / 8) < height && usize::from(place % 8) < width { place } else { UNNEEDED })
}

/// For each index in zigzag order, rows and columns that hold it and all before it.
pub(crate) const EXTENT: [[u8; 2]; 64] = {
    let mut extent = [[1; 2]; 64];
    let mut index = 1;
    while index < 64 {
        let (row, column) = (ZIGZAG[index] / 8 + 1, ZIGZAG[index] % 8 + 1);
        let [rows, columns] = extent[index - 1];
        extent[index] = [if row > rows { row } else { rows }, if column > columns { column } else { columns }];
        index += 1;
    }
    extent
};

/// `cos(pi k / 16)`.
const COSINES: [f32; 9] =
    [1.0, 0.980_785_25, 0.923_879_5, 0.831_469_6, 0.707_106_77, 0.555_570_24, 0.382_683_43, 0.195_090_32, 0.0];

/// The cosine of so many sixteenths of pi.
const fn cosine(sixteenths: usize) -> f32 {
    let folded = if sixteenths % 32 > 16 { 32 - sixteenths % 32 } else { sixteenths % 32 };
    if folded <= 8 { COSINES[folded] } else { -COSINES[16 - folded] }
}

struct Basis<const N: usize>;

impl<const N: usize> Basis<N> {
    /// `[k][n] = cos(pi (2n + 1) k / 2N)`.
    const WAVES: [[f32; N]; N] = {
        let mut waves = [[0.0; N]; N];
        let mut index = 0;
        while index < N * N {
            let (k, n) = (index / N, index % N);
            waves[k][n] = cosine((2 * n + 1) * k * (8 / N));
            index += 1;
        }
        waves
    };
}

fn transform<const W: usize, const H: usize>(
    coefficients: &Coefficients,
    rows: usize,
    columns: usize,
    pixels: &mut [u8],
    stride: usize,
) {
    if rows == 1 && columns == 1 {
        let value = to_byte(coefficients[0] + 128.0);
        for line in pixels.chunks_mut(stride).take(H) {
            line[..W].fill(value);
        }
        return;
    }
    // Four are done before one has asked how many there are.
    let (rows, columns) = (if H <= 4 { H } else { rows }, if W <= 4 { W } else { columns });
    let mut half = [[0f32; W]; H];
    for (row, waves) in coefficients.as_chunks::<8>().0.iter().zip(&Basis::<H>::WAVES).take(rows) {
        for (half, wave) in half.iter_mut().zip(waves) {
            for (half, value) in half.iter_mut().zip(row) {
                *half += wave * value;
            }
        }
    }
    let mut values = [[128f32; W]; H];
    for (values, half) in values.iter_mut().zip(&half) {
        for (value, waves) in half.iter().zip(&Basis::<W>::WAVES).take(columns) {
            for (sum, wave) in values.iter_mut().zip(waves) {
                *sum += value * wave;
            }
        }
    }
    // All at once: line by line the compiler packs the bytes by many shifts.
    let mut bytes = [[0; W]; H];
    for (byte, &value) in bytes.as_flattened_mut().iter_mut().zip(values.as_flattened()) {
        *byte = to_byte(value);
    }
    for (line, bytes) in pixels.chunks_mut(stride).zip(&bytes) {
        line[..W].copy_from_slice(bytes);
    }
}

/// To the nearest integer from 0 to 255.
#[inline(always)]
fn to_byte(value: f32) -> u8 {
    let above = if value > 0.0 { value } else { 0.0 };
    let within = if above < 255.0 { above } else { 255.0 };
    // At 2^23 the unit in the last place is 1: the sum is rounded to a whole number, which its lowest bits are.
    (within + 8_388_608.0).to_bits() as u8
}
