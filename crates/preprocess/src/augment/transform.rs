//! What is drawn for one copy of an image.

use super::affine::Affine;
use super::{brightness, flip, rotation, shear, shift, zoom};
use crate::pipeline::AugmentSettings;
use crate::stage::random::{self, Random};

/// One drawn augmentation of an image of a known size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform {
    /// From (row, column) of the result to (row, column) of the image.
    pub affine: Affine,
    /// What every value is multiplied by.
    pub brightness: f64,
}

impl Transform {
    /// The image as it is.
    #[cfg(test)]
    pub(crate) const IDENTITY: Self = Self { affine: Affine::IDENTITY, brightness: 1.0 };

    /// Draws the transform of one copy. `source` is the image's name in the data set, `copy` counts from 1. Determined
    /// by its arguments alone.
    pub fn draw(settings: &AugmentSettings, seed: u64, source: &str, copy: usize, width: usize, height: usize) -> Self {
        let mut random = random::stream(seed, "augment", &[source.as_bytes(), &(copy as u64).to_le_bytes()]);
        Self::from_stream(settings, &mut random, width, height)
    }

    /// Every setting takes its numbers from the stream whether it uses them or not, in a fixed order, so that changing
    /// one setting leaves the others' draws as they were.
    pub(super) fn from_stream(settings: &AugmentSettings, random: &mut Random, width: usize, height: usize) -> Self {
        let rotation = rotation::draw(settings.rotation, random);
        let shift = shift::draw(settings.shift, random, width, height);
        let shear = shear::draw(settings.shear, random);
        let zoom = zoom::draw(settings.zoom, random);
        let flip = flip::draw(settings.horizontal_flip, random, width);
        let brightness = brightness::draw(settings.brightness, random);
        let about_centre = (rotation * shift * shear * zoom).about_centre(width, height);
        Self { affine: about_centre * flip, brightness }
    }
}
