//! An image within a square, or that it is not available.

use super::{Anchor, Palette, Svg};
use crate::samples::Picture;

/// Images smaller than this are shown with sharp pixels.
const SMALL: usize = 64;

/// Draws the image into the middle of a square of `size` pixels, its left upper corner at `[x, y]`.
pub(super) fn thumbnail(svg: &mut Svg, palette: &Palette, picture: Option<&Picture>, [x, y]: [f64; 2], size: f64) {
    let frame = |width: f64, height: f64| [x + (size - width) / 2.0, y + (size - height) / 2.0, width, height];
    match picture {
        Some(picture) => {
            let scale = size / picture.width.max(picture.height) as f64;
            let at = frame(picture.width as f64 * scale, picture.height as f64 * scale);
            svg.png(at, &picture.base64, picture.width.max(picture.height) < SMALL);
            svg.frame(at, palette.grid);
        }
        None => {
            svg.frame(frame(size, size), palette.grid);
            let middle = [x + size / 2.0, y + size / 2.0 - 2.0];
            svg.text(middle, size / 10.0, Anchor::Middle, palette.muted, "image not available");
        }
    }
}
