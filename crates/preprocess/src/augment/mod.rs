//! Augmented copies of training images, with the meaning that Keras' `ImageDataGenerator` gives each setting.
//!
//! A [`Transform`] is drawn for every (seed, image, copy): rotation, shift, shear and zoom become one matrix in Keras'
//! order, the flip is folded into it, and [`warp`](fn@warp) reads every pixel once, with one bilinear interpolation
//! and one rounding. Keras truncates to integers before and again after changing the brightness; that is not imitated.

mod affine;
mod brightness;
mod flip;
mod rotation;
mod shear;
mod shift;
mod transform;
mod warp;
mod zoom;

pub(crate) use affine::Affine;
pub use transform::Transform;
pub use warp::{warp, warp_reference};

use crate::image::Pixels;
use crate::pipeline::AugmentSettings;

/// Raised with every change that draws or renders a copy of any image otherwise: part of the fingerprints of data sets
/// and of augmented shards.
pub(crate) const AUGMENT_VERSION: u32 = 1;

/// The augmented copy `copy` (from 1) of the image called `source`.
pub fn augment(pixels: &Pixels, settings: &AugmentSettings, seed: u64, source: &str, copy: usize) -> Pixels {
    let transform = Transform::draw(settings, seed, source, copy, pixels.width, pixels.height);
    warp(pixels, &transform, settings.fill)
}

#[cfg(test)]
mod tests;
