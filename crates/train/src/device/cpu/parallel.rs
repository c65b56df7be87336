//! Splitting elementwise work over the threads, and running it with the machine's widest vectors.

use super::simd::vectorized;
use rayon::prelude::*;

/// Floats a task: large enough to be worth a task, small enough to spread evenly.
const CHUNK: usize = 1 << 15;

/// Runs `f` on matching chunks of both slices.
pub(crate) fn zip2(a: &mut [f32], b: &[f32], f: impl Fn(&mut [f32], &[f32]) + Sync) {
    a.par_chunks_mut(CHUNK).zip(b.par_chunks(CHUNK)).for_each(|(a, b)| vectorized(|| f(a, b)));
}

/// Pixels of three bytes that are worked on side by side: 48 floats are whole vectors.
const PIXELS: usize = 16;

/// Bytes of interleaved pixels `[…, 3]` as floats: each channel's times its factor, plus its summand.
pub(crate) fn scale_bytes(a: &mut [f32], bytes: &[u8], factors: [[f32; 2]; 3]) {
    const PATTERN: usize = 3 * PIXELS;
    let of = |which: usize| -> [f32; PATTERN] { std::array::from_fn(|at| factors[at % 3][which]) };
    let [scale, shift] = [of(0), of(1)];
    let chunk = CHUNK / PATTERN * PATTERN;
    a.par_chunks_mut(chunk).zip(bytes.par_chunks(chunk)).for_each(|(a, bytes)| {
        vectorized(|| {
            let (whole, rest) = a.as_chunks_mut::<PATTERN>();
            let (whole_bytes, rest_bytes) = bytes.as_chunks::<PATTERN>();
            for (a, bytes) in whole.iter_mut().zip(whole_bytes) {
                for at in 0..PATTERN {
                    a[at] = f32::from(bytes[at]) * scale[at] + shift[at];
                }
            }
            for (at, (a, &byte)) in rest.iter_mut().zip(rest_bytes).enumerate() {
                *a = f32::from(byte) * scale[at] + shift[at];
            }
        });
    });
}
