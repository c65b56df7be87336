//! From packed numbers to 8-bit RGB.

use super::layout::{Alpha, Colour, Layout, Predictor};
use crate::image::error::ImageError;
use std::cell::RefCell;

/// Converts rows of one picture.
pub(crate) struct Converter<'a> {
    layout: &'a Layout,
    big_endian: bool,
    /// Numbers of a row, in 8 bits (indices as they are), pixel by pixel.
    levels: RefCell<Vec<u8>>,
}

impl<'a> Converter<'a> {
    pub(crate) fn new(layout: &'a Layout, big_endian: bool) -> Self {
        Self { layout, big_endian, levels: RefCell::new(vec![0; layout.part[0] * layout.samples]) }
    }

    /// Converts a row of a strip or tile, given once or once for each plane, as far as `rgb` reaches.
    ///
    /// # Errors
    /// Floating-point numbers that are not from 0 to 1, or an index beyond the palette.
    pub(crate) fn row(&self, planes: &[&[u8]], rgb: &mut [u8]) -> Result<(), ImageError> {
        let layout = self.layout;
        let mut levels = self.levels.borrow_mut();
        let within = layout.part_samples();
        for (plane, packed) in planes.iter().enumerate() {
            let mut unpacked = self.unpack(packed)?.into_iter();
            for pixel in levels.chunks_exact_mut(layout.samples) {
                for level in &mut pixel[plane..plane + within] {
                    *level = unpacked.next().unwrap_or_default();
                }
            }
        }
        for (pixel, rgb) in levels.chunks_exact(layout.samples).zip(rgb.as_chunks_mut().0) {
            *rgb = self.colour(pixel);
        }
        Ok(())
    }

    /// One plane's numbers in 8 bits.
    fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, ImageError> {
        let Layout { bits, predictor, .. } = *self.layout;
        let step = self.layout.part_samples();
        match bits {
            8 => {
                let mut levels = packed.to_vec();
                if predictor == Predictor::Horizontal {
                    add_up(&mut levels, step, u8::wrapping_add);
                }
                Ok(levels)
            }
            16 => {
                let number = if self.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
                let mut numbers: Vec<u16> = packed.as_chunks().0.iter().map(|bytes| number(*bytes)).collect();
                if predictor == Predictor::Horizontal {
                    add_up(&mut numbers, step, u16::wrapping_add);
                }
                Ok(numbers.into_iter().map(|number| ((u32::from(number) + 128) / 257) as u8).collect())
            }
            32 => self.floats(packed),
            _ => Ok(self.small(packed)),
        }
    }

    /// Numbers of 1, 2 or 4 bits, the first of a byte uppermost.
    fn small(&self, packed: &[u8]) -> Vec<u8> {
        let bits = self.layout.bits;
        let most = (1u8 << bits) - 1;
        let factor = if matches!(self.layout.colour, Colour::Palette(_)) { 1 } else { 255 / most };
        packed
            .iter()
            .flat_map(|byte| (0..8 / bits).rev().map(move |at| (byte >> (at * bits) & most) * factor))
            .collect()
    }

    fn floats(&self, packed: &[u8]) -> Result<Vec<u8>, ImageError> {
        let numbers: Vec<f32> = if self.layout.predictor == Predictor::FloatingPoint {
            let mut bytes = packed.to_vec();
            add_up(&mut bytes, self.layout.part_samples(), u8::wrapping_add);
            let count = bytes.len() / 4;
            let number = |at: usize| f32::from_be_bytes([0, 1, 2, 3].map(|byte| bytes[byte * count + at]));
            (0..count).map(number).collect()
        } else {
            let number = if self.big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
            packed.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
        };
        if !numbers.iter().all(|number| (0.0..=1.0).contains(number)) {
            return Err(ImageError::new(
                "TIFFs of floating-point numbers other than from 0 to 1 are not supported: nothing says which of them is white; \
                 save it with 8 or 16 bits",
            ));
        }
        Ok(numbers.into_iter().map(|number| (number * 255.0).round() as u8).collect())
    }

    fn colour(&self, pixel: &[u8]) -> [u8; 3] {
        let (colour, channels) = match &self.layout.colour {
            Colour::Grey { white_is_zero: true } => ([255 - pixel[0]; 3], 1),
            Colour::Grey { .. } => ([pixel[0]; 3], 1),
            Colour::Rgb | Colour::YCbCr => ([pixel[0], pixel[1], pixel[2]], 3),
            Colour::Palette(palette) => (palette[usize::from(pixel[0])], 1),
            Colour::Cmyk => {
                let light = |ink: u8| 255 - u32::from(ink);
                ([0, 1, 2].map(|ink| ((light(pixel[ink]) * light(pixel[3]) + 127) / 255) as u8), 4)
            }
        };
        let Some(&alpha) = pixel.get(channels) else { return colour };
        let (opaque, clear) = (u32::from(alpha), 255 - u32::from(alpha));
        match self.layout.alpha {
            Alpha::None => colour,
            // The white behind, as much as shows through, comes on top of what is there already.
            Alpha::Associated => colour.map(|value| (u32::from(value) + clear).min(255) as u8),
            Alpha::Unassociated => colour.map(|value| ((u32::from(value) * opaque + 255 * clear + 127) / 255) as u8),
        }
    }
}

/// Undoes differences from the number `step` places before.
fn add_up<T: Copy>(numbers: &mut [T], step: usize, add: impl Fn(T, T) -> T) {
    for index in step..numbers.len() {
        numbers[index] = add(numbers[index], numbers[index - step]);
    }
}
