//! TIFF and BigTIFF (TIFF 6.0 and its technical notes), the first picture of a file.
//!
//! [`directory`] reads tags, [`layout`] says what they describe and refuses by name what is not read, [`compression`]
//! unpacks strips and tiles, [`samples`] makes RGB of their numbers. Of our own, for the crates that read TIFF stop at
//! palettes, grey with alpha, planes in tiles and FillOrder 2, and ignore whether colours are multiplied with alpha.
//! Part by part: no more is held than the RGB picture and one strip or one tile.

mod compression;
mod directory;
mod layout;
mod samples;

use crate::image::budget::{Beside, Held, reserve};
use crate::image::error::ImageError;
use crate::image::limits::check_size;
use crate::image::pixels::Pixels;
use ::image::metadata::Orientation;
use directory::{Directory, tag};
use layout::{Compression, Layout};
use samples::Converter;

/// Decodes the first picture; its orientation is for the caller to apply.
///
/// # Errors
/// Cut short, corrupt, too large, or of a kind that is not supported; then the reason names it.
pub fn decode(bytes: &[u8], beside: Beside) -> Result<(Pixels, Option<Orientation>, Held), ImageError> {
    let directory = Directory::first(bytes)?;
    let layout = Layout::read(&directory)?;
    check_size(layout.width as u64, layout.height as u64)?;
    let held = reserve(layout.need(), [layout.width, layout.height], beside)?;
    let tables = directory.data(tag::JPEG_TABLES)?;
    let mut data = vec![0; layout.width * layout.height * 3];
    let converter = Converter::new(&layout, directory.is_big_endian());
    let [across, down] = layout.grid();
    for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
        let rows = layout.part[1].min(layout.height - row * layout.part[1]);
        let per_plane = across * down;
        let planes = (row * across + column..layout.parts.len()).step_by(per_plane);
        let unpacked = planes
            .map(|index| compression::unpack(&layout, part(&directory, &layout, index)?, tables, rows))
            .collect::<Result<Vec<_>, _>>()?;
        let left = column * layout.part[0];
        let width = layout.part[0].min(layout.width - left);
        for y in 0..rows {
            let start = ((row * layout.part[1] + y) * layout.width + left) * 3;
            let at = y * layout.row_bytes();
            let packed: Vec<&[u8]> = unpacked.iter().map(|plane| &plane[at..at + layout.row_bytes()]).collect();
            converter.row(&packed, &mut data[start..start + width * 3])?;
        }
    }
    let orientation = Orientation::from_exif(layout.orientation);
    Ok((Pixels { width: layout.width, height: layout.height, data }, orientation, held))
}

/// The bytes of a strip or tile. The length of uncompressed ones is known, and some programs write a wrong one, which
/// viewers ignore.
fn part<'a>(directory: &Directory<'a>, layout: &Layout, index: usize) -> Result<&'a [u8], ImageError> {
    let [start, length] = layout.parts[index];
    match layout.compression {
        Compression::None => directory.rest(start),
        _ => directory.slice(start, length),
    }
}
