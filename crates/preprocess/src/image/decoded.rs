//! A picture between decoding and resizing.

use super::budget::Held;
use super::pixels::{Area, Pixels};
use super::resize;
use crate::pipeline::{Fit, ImageSettings};

/// A decoded image on its way to the model's size, at full or at a reduced scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub(super) pixels: Pixels,
    /// Where in `pixels` the picture is. At a reduced scale a side may end within a pixel.
    pub(super) covered: Area,
    /// The memory that it was promised.
    pub(super) held: Option<Held>,
}

impl Decoded {
    pub(super) fn whole(pixels: Pixels) -> Self {
        let sides = [pixels.width as f64, pixels.height as f64];
        Self::part(pixels, sides)
    }

    /// A picture from the upper left corner, `width` and `height` pixels large.
    pub(super) fn part(pixels: Pixels, [width, height]: [f64; 2]) -> Self {
        Self { pixels, covered: Area { left: 0.0, top: 0.0, width, height }, held: None }
    }

    /// Gives its memory back when it is dropped.
    pub(super) fn holding(mut self, held: Held) -> Self {
        self.held = Some(held);
        self
    }

    /// What was decoded.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// Pixels of `pixels` that the picture is wide.
    pub(super) fn covered_width(&self) -> f64 {
        self.covered.width
    }

    /// Brought to exactly `settings.width` x `settings.height`.
    pub fn resize(&self, settings: &ImageSettings) -> Pixels {
        resize::fit(&self.pixels, &self.covered, settings)
    }

    /// A part of the picture, brought to exactly `settings.width` x `settings.height` whatever its shape. `part` is in
    /// pixels of the whole picture, which has `width` x `height`, as it is seen.
    pub(crate) fn resize_part(&self, part: &Area, [width, height]: [usize; 2], settings: &ImageSettings) -> Pixels {
        let across = self.covered.width / width as f64;
        let down = self.covered.height / height as f64;
        let area = Area {
            left: self.covered.left + part.left * across,
            top: self.covered.top + part.top * down,
            width: part.width * across,
            height: part.height * down,
        };
        resize::fit(&self.pixels, &area, &ImageSettings { fit: Fit::Stretch, crop_fraction: 1.0, ..settings.clone() })
    }
}
