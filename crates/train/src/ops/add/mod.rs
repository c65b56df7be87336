//! Addition of feature maps, in place: how gradients of a map that several ops read are summed. The residual connection's
//! own addition is part of the convolution that ends its branch ([`conv2d`](super::conv2d)).

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;
