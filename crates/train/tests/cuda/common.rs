//! What the tests of all ops share.

use dfdx::tensor::{Cuda, Storage, TensorFromVec};
use preprocess::pipeline::Precision;
use train::device::cuda::{CudaPool, open};
use train::tensor::memory::{Memory, Slot, Vector};

/// The first GPU, or the emulated one.
pub fn device() -> Cuda {
    let (device, _) = open(0).unwrap_or_else(|why| panic!("{why}\n  hint: run `make test-cuda`"));
    device
}

/// Free memory, and what convolutions compute with.
pub fn pool(device: &Cuda, precision: Precision) -> CudaPool {
    CudaPool::with_precision(device, precision).unwrap()
}

/// Numbers in (-1, 1) that look random, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A vector on the device.
pub fn vector(device: &Cuda, values: &[f32]) -> Vector<Cuda> {
    device.try_tensor_from_vec(values.to_vec(), (values.len(),)).unwrap()
}

/// A gradient's slot that holds something already.
pub fn slot(device: &Cuda, values: &[f32]) -> Slot<Cuda> {
    let mut slot = Storage::<f32>::try_alloc_len(device, values.len()).unwrap();
    device.storage_from_host(&mut slot, values).unwrap();
    slot
}

/// The largest difference is at most `tolerance` of the largest value expected.
pub fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3f32, |largest, v| largest.max(v.abs()));
    for (at, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * scale, "{what}: {a} instead of {e} at {at}, largest {scale}");
    }
}

/// `sum + term`, element by element.
pub fn sum(sum: &[f32], term: &[f32]) -> Vec<f32> {
    sum.iter().zip(term).map(|(a, b)| a + b).collect()
}
