//! What the ops' tests share.

use crate::device::cpu::layout;

/// Numbers in (-1, 1) that look random, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// To the blocked layout.
pub(crate) fn block(nchw: &[f32], shape: [usize; 4]) -> Vec<f32> {
    let mut blocked = vec![0.0; layout::blocked_len(shape)];
    layout::block(nchw, shape, &mut blocked);
    blocked
}

/// From the blocked layout; its spare lanes must be zero.
pub(crate) fn unblock(blocked: &[f32], shape: [usize; 4]) -> Vec<f32> {
    let mut nchw = vec![0.0; shape.iter().product()];
    layout::unblock(blocked, shape, &mut nchw);
    assert_eq!(block(&nchw, shape), blocked, "spare lanes are zero, and nothing is NaN");
    nchw
}

/// Largest difference at most 1e-5 of the largest value.
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-6f32, |largest, v| largest.max(v.abs()));
    for (at, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= 1e-5 * scale, "{what}: {a} instead of {e} at {at}, largest {scale}");
    }
}
