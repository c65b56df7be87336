//! Every kernel for NVIDIA GPUs against its op's reference. Where there is no GPU, on the emulator: `make test-cuda`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod conv2d;
mod dense;
