//! Augmented copies of training images. Each setting means what it means in the library that it comes from: Keras'
//! `ImageDataGenerator` (rotation, shift, shear, zoom, brightness, flip) or torchvision's transforms (all others).
//!
//! A copy is made in this order: its part of the original ([`crop()`], taken before the pixels come here), the warp,
//! the ops of a policy, the colours, grey, blur.
//!
//! A [`Transform`] is drawn for every (seed, image, copy): rotation, shift, shear and zoom become one matrix in Keras'
//! order, the flip is folded into it, and [`warp`](fn@warp) reads every pixel once, with one bilinear interpolation
//! and one rounding. Keras truncates to integers before and again after changing the brightness; that is not imitated.

mod affine;
mod blur;
mod brightness;
mod color;
mod crop;
mod family;
mod flip;
mod luma;
mod policy;
mod rotation;
mod sharpness;
mod shear;
mod shift;
mod tone;
mod transform;
mod warp;
mod zoom;

pub(crate) use affine::Affine;
pub(crate) use crop::{crop, least_size};
pub(crate) use family::Family;
pub use transform::Transform;
pub use warp::{warp, warp_reference};

use crate::image::Pixels;
use crate::pipeline::AugmentSettings;
use crate::stage::random::{self, Random};
use policy::Policy;

/// Raised with every change that draws or renders a copy of any image otherwise: part of the fingerprints of data sets
/// and of augmented shards.
pub(crate) const AUGMENT_VERSION: u32 = 1;

/// The augmented copy `copy` (from 1) of the image called `source`. With `random_resized_crop`, `pixels` are the part of
/// the original that this copy shows, brought to the model's size.
pub fn augment(pixels: &Pixels, settings: &AugmentSettings, seed: u64, source: &str, copy: usize) -> Pixels {
    let transform = Transform::draw(settings, seed, source, copy, pixels.width, pixels.height);
    let mut changed = warp(pixels, &transform, settings.fill);
    if let Some(policy) = Policy::of(settings) {
        changed = policy.apply(changed, settings.fill, seed, source, copy);
    }
    if let Some(color) = &settings.color {
        color::jitter(&mut changed, color, &mut stream("augment: color", seed, source, copy));
    }
    let grey = settings.grayscale;
    if grey > 0.0 && stream("augment: grayscale", seed, source, copy).uniform() < grey {
        luma::grayscale(&mut changed);
    }
    if let Some(blur) = &settings.blur {
        blur::maybe(&mut changed, blur, &mut stream("augment: blur", seed, source, copy));
    }
    changed
}

/// How the copies of a data set's images are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    /// What is drawn for each copy.
    pub settings: AugmentSettings,
    /// The data set's: with the image's name and the copy's number it determines what is drawn.
    pub seed: u64,
    /// Width and height of the images, in pixels.
    pub size: [usize; 2],
}

impl Augmentation {
    /// Changes an image (8-bit RGB `[height, width, 3]`) into its copy `copy` (from 1), which is the one that shards
    /// hold under that number where copies are stored and are no parts of originals.
    ///
    /// # Panics
    /// If the image is of another size.
    pub fn apply(&self, image: &mut [u8], source: &str, copy: usize) {
        let [width, height] = self.size;
        assert_eq!(image.len(), width * height * 3);
        let pixels = Pixels { width, height, data: image.to_vec() };
        image.copy_from_slice(&augment(&pixels, &self.settings, self.seed, source, copy).data);
    }
}

/// Numbers for one purpose and one copy. Each kind of change but the warp has a stream of its own: how many numbers one
/// takes makes no difference to the others.
fn stream(purpose: &str, seed: u64, source: &str, copy: usize) -> Random {
    random::stream(seed, purpose, &[source.as_bytes(), &(copy as u64).to_le_bytes()])
}

#[cfg(test)]
mod draws_tests;
#[cfg(test)]
mod ops_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod torchvision_tests;
