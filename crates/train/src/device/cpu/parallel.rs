//! Splitting elementwise work over the threads, and running it with the machine's widest vectors.

use super::simd::vectorized;
use rayon::prelude::*;

/// Floats a task: large enough to be worth a task, small enough to spread evenly.
const CHUNK: usize = 1 << 15;

/// Runs `f` on matching chunks of both slices.
pub fn zip2(a: &mut [f32], b: &[f32], f: impl Fn(&mut [f32], &[f32]) + Sync) {
    a.par_chunks_mut(CHUNK).zip(b.par_chunks(CHUNK)).for_each(|(a, b)| vectorized(|| f(a, b)));
}

/// Bytes as floats, times `factor`.
pub fn scale_bytes(a: &mut [f32], bytes: &[u8], factor: f32) {
    a.par_chunks_mut(CHUNK).zip(bytes.par_chunks(CHUNK)).for_each(|(a, bytes)| {
        vectorized(|| a.iter_mut().zip(bytes).for_each(|(a, &byte)| *a = f32::from(byte) * factor));
    });
}
