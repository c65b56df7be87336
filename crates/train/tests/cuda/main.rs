//! Every kernel for NVIDIA GPUs against its op's reference. Where there is no GPU, on the emulator: `make test-cuda`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adam;
mod batch_norm2d;
mod common;
mod conv2d;
mod cross_entropy;
mod dense;
mod dropout;
mod elementwise;
mod feed;
mod images;
mod max_pool2d;
mod mix;
mod moving_average;
#[path = "../pytorch.rs"]
mod pytorch;
#[path = "../pytorch_ops.rs"]
mod pytorch_ops;
mod sgd;
#[path = "../timm_networks.rs"]
mod timm_networks;

#[test]
fn a_step_is_pytorchs_on_a_gpu_too() {
    let device = common::device();
    pytorch::a_step_is_pytorchs_on(&device, &common::pool(&device, preprocess::pipeline::Precision::Fp32));
}

#[test]
fn networks_are_timms_on_a_gpu_too() {
    let device = common::device();
    timm_networks::the_smallest_are_timms_on(&device, &common::pool(&device, preprocess::pipeline::Precision::Fp32));
}

#[test]
fn ops_are_pytorchs_on_a_gpu_too() {
    let device = common::device();
    pytorch_ops::ops_are_pytorchs_on(&device, &common::pool(&device, preprocess::pipeline::Precision::Fp32));
}
