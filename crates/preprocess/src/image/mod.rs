//! From a file's bytes to pixels of the model's size.
//!
//! [`decode`](fn@decode) reads any supported format and converts it to 8-bit RGB in one documented way,
//! [`resize`](fn@resize) brings it to the model's size. [`decode_for`] does no more work than that size needs: a large
//! JPEG is decoded at a reduced scale. [`png`] writes and reads the pixels that the shards hold.

pub mod budget;
mod decode;
mod decoded;
mod error;
mod file;
mod formats;
mod jpeg;
mod limits;
mod orientation;
mod pixels;
pub mod png;
mod resize;
mod rgb;

pub(crate) use decode::decode_for_parts;
pub use decode::{Compared, decode, decode_for, decode_to_compare};
pub use decoded::Decoded;
pub use error::ImageError;
pub(crate) use file::read;
pub use file::{load, load_from_memory};
pub(crate) use limits::MAX_SIDE;
pub(crate) use pixels::Area;
pub use pixels::Pixels;
pub use resize::resize;
pub(crate) use resize::scale;

/// Changes whenever the pixels of some file do, so that data sets made before are made anew.
pub(crate) const PIXELS_VERSION: u32 = 3;

#[cfg(test)]
mod tests;
