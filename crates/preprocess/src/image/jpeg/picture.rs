//! The picture in work: its channels, one row of minimum coded units at a time, become lines of RGB.

use super::colour::{cmyk_to_rgb, grey_to_rgb, rgb_to_rgb, ycc_to_rgb, ycck_to_rgb};
use super::headers::{Colour, Headers};
use super::plane::Plane;
use crate::image::error::ImageError;
use crate::image::pixels::Pixels;

/// A picture that grows from top to bottom.
pub(crate) struct Picture {
    /// Its channels, in the frame's order.
    pub planes: Vec<Plane>,
    scratch: Vec<Vec<u8>>,
    colour: Colour,
    pixels: Pixels,
    /// Lines of a row of units.
    strip: usize,
    /// Whether lines wait for those of the next row of units.
    mixes_lines: bool,
    /// The lines that are finished.
    finished: usize,
}

impl Picture {
    /// A black picture with `points` pixels for every 8 of a side, the last ones perhaps reaching over the edge.
    pub(crate) fn new(headers: &Headers, colour: Colour, points: usize) -> Result<Self, ImageError> {
        let mut planes: Vec<Plane> =
            (0..headers.components.len()).map(|index| Plane::new(headers, index, points)).collect::<Result<_, _>>()?;
        let mixes_lines = planes.iter().any(Plane::mixes_lines);
        if mixes_lines {
            planes.iter_mut().for_each(Plane::keep_row_before);
        }
        let [width, height] = [headers.width, headers.height].map(|side| (side * points).div_ceil(8));
        Ok(Self {
            scratch: planes.iter().map(|_| Vec::new()).collect(),
            planes,
            colour,
            pixels: Pixels { width, height, data: vec![0; width * height * 3] },
            strip: points * headers.blocks()[1],
            mixes_lines,
            finished: 0,
        })
    }

    /// Before the blocks of the `row`-th row of units.
    pub(crate) fn begin(&mut self, row: usize) {
        self.planes.iter_mut().for_each(|plane| plane.begin(row));
    }

    /// After them. Where lines are mixed, those of this row still need the next.
    pub(crate) fn end(&mut self, row: usize) {
        self.finish_lines((row + usize::from(!self.mixes_lines)) * self.strip);
    }

    /// After the last row.
    pub(crate) fn finish(mut self) -> Pixels {
        self.finish_lines(self.pixels.height);
        self.pixels
    }

    fn finish_lines(&mut self, until: usize) {
        let (width, until) = (self.pixels.width, until.min(self.pixels.height));
        for y in self.finished..until {
            let rgb = &mut self.pixels.data[y * width * 3..][..width * 3];
            let mut lines = [&[][..]; 4];
            for ((line, plane), scratch) in lines.iter_mut().zip(&self.planes).zip(&mut self.scratch) {
                *line = &plane.line(y, scratch)[..width];
            }
            match self.colour {
                Colour::Grey => grey_to_rgb(lines[0], rgb),
                Colour::Ycc => ycc_to_rgb(lines[0], lines[1], lines[2], rgb),
                Colour::Rgb => rgb_to_rgb(lines[0], lines[1], lines[2], rgb),
                Colour::Cmyk => cmyk_to_rgb(lines, rgb),
                Colour::Ycck => ycck_to_rgb(lines, rgb),
            }
        }
        self.finished = self.finished.max(until);
    }
}
