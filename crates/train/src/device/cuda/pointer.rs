//! Where dfdx's tensors lie on the device.
//!
//! dfdx 0.13 gives a tensor's device memory to none but its own kernels. What it does show is the tensor's `Debug`
//! text, whose third field is the memory: `data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: 139…, len: 32,
//! …`. The versions of both crates are pinned exactly, the text is derived by the compiler, and [`check`] compares
//! what is read here with what dfdx itself copies to the host before any kernel sees a pointer. The alternative, a
//! copy of every parameter by one of dfdx's own kernels each time one of ours reads it, costs a launch a parameter.

use crate::tensor::memory::Vector;
use cudarc::driver::result;
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Cuda, CudaError, Tensor, TensorFromVec};
use std::fmt::Write;

/// Characters of the text that are looked at: the pointer and the length come before them.
const HEAD: usize = 256;

/// The address of a contiguous tensor's first float.
///
/// # Panics
/// The text is not that of the pinned versions, which [`check`] has ruled out, or the tensor is not contiguous.
pub(crate) fn pointer<S: Shape>(tensor: &Tensor<S, f32, Cuda>) -> u64 {
    let (pointer, len) =
        read(tensor).unwrap_or_else(|| panic!("dfdx's tensors have another form than in version 0.13.0"));
    assert_eq!(len, tensor.shape().num_elements(), "the tensor is not contiguous");
    pointer
}

/// Whether [`pointer`] finds the memory of a tensor: what lies there is what dfdx was given.
pub(super) fn check(device: &Cuda) -> Result<bool, CudaError> {
    let values = [1.5f32, -2.0, 3.25, 0.0, 7.0];
    let probe: Vector<Cuda> = device.try_tensor_from_vec(values.to_vec(), (values.len(),))?;
    let Some((pointer, len)) = read(&probe).filter(|(_, len)| *len == values.len()) else { return Ok(false) };
    let mut found = vec![0.0f32; len];
    // SAFETY: a copy from the device cannot write anything but `found`. If the address were not one of the device's,
    // the driver would refuse it with an error.
    let copied = unsafe { result::memcpy_dtoh_sync(&mut found, pointer) };
    Ok(copied.is_ok() && found == values)
}

/// Address and length in floats, from the head of the text.
fn read<S: Shape>(tensor: &Tensor<S, f32, Cuda>) -> Option<(u64, usize)> {
    let mut head = Head { text: [0; HEAD], len: 0 };
    // The error is how the formatting is stopped once the head is full.
    let _ = write!(head, "{tensor:?}");
    let text = std::str::from_utf8(&head.text[..head.len]).ok()?;
    let (_, memory) = text.split_once("data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: ")?;
    let (pointer, rest) = memory.split_once(", len: ")?;
    let (len, _) = rest.split_once(',')?;
    Some((pointer.parse().ok()?, len.parse().ok()?))
}

/// Takes the first characters of a text and refuses the rest.
struct Head {
    text: [u8; HEAD],
    len: usize,
}

impl Write for Head {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let taken = text.len().min(HEAD - self.len);
        self.text[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        if taken < text.len() { Err(std::fmt::Error) } else { Ok(()) }
    }
}
