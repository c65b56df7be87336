//! What the pixels of each image show, read once.

use super::evidence::PictureStatistics;
use super::registration::COARSE;
use super::thumbnail::{Thumbnail, luma};
use preprocess::Result;
use preprocess::dataset::Rows;
use preprocess::stage::interrupt;
use preprocess::stage::progress::Progress;
use rayon::prelude::*;

/// Images that are read at a time.
const BATCH: usize = 256;

/// What was seen of one image.
#[derive(Debug)]
pub(super) struct Picture {
    /// BLAKE3 of its pixels, in hexadecimal.
    pub pixels: String,
    pub statistics: PictureStatistics,
    /// On [`COARSE`] cells a side, a byte each: a kilobyte an image.
    thumbnail: Vec<u8>,
}

impl Picture {
    pub(super) fn thumbnail(&self) -> Thumbnail {
        Thumbnail { side: COARSE, luma: self.thumbnail.iter().map(|&luma| f32::from(luma)).collect() }
    }
}

/// Reads the images of the splits, one after another. `size` is the model's, width and height.
///
/// # Errors
/// An image cannot be read, or the run is interrupted.
pub(super) fn read(splits: &[&Rows], size: [usize; 2]) -> Result<Vec<Picture>> {
    let count = splits.iter().map(|rows| rows.len()).sum::<usize>();
    let progress = Progress::new("looking at pictures", count as u64, "images");
    let mut pictures = Vec::with_capacity(count);
    for rows in splits {
        for first in (0..rows.len()).step_by(BATCH) {
            interrupt::check()?;
            let batch = first..(first + BATCH).min(rows.len());
            let read = batch.into_par_iter().map(|row| look(rows, row, size)).collect::<Result<Vec<_>>>()?;
            progress.advance(read.len() as u64);
            pictures.extend(read);
        }
    }
    Ok(pictures)
}

/// The pixels of an image, `[height, width, 3]`.
///
/// # Errors
/// It cannot be read.
pub(super) fn pixels(rows: &Rows, row: usize, [width, height]: [usize; 2]) -> Result<Vec<u8>> {
    let mut pixels = vec![0; width * height * 3];
    rows.read_pixels(row, &mut pixels)?;
    Ok(pixels)
}

fn look(rows: &Rows, row: usize, size: [usize; 2]) -> Result<Picture> {
    let pixels = pixels(rows, row, size)?;
    let thumbnail = Thumbnail::of(&pixels, size, COARSE).luma.iter().map(|luma| luma.round() as u8).collect();
    let [width, height] = rows.size(row);
    let statistics = PictureStatistics { width, height, ..statistics(&pixels, size) };
    Ok(Picture { pixels: blake3::hash(&pixels).to_hex().to_string(), statistics, thumbnail })
}

/// Of 8-bit RGB pixels `[height, width, 3]`; without the size of the file.
fn statistics(pixels: &[u8], [width, height]: [usize; 2]) -> PictureStatistics {
    let luma: Vec<f32> = pixels.chunks_exact(3).map(luma).collect();
    let count = luma.len().max(1) as f64;
    let mean = luma.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = luma.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    let mut histogram = [0usize; 256];
    luma.iter().for_each(|&value| histogram[value.round().clamp(0.0, 255.0) as usize] += 1);
    let shares = histogram.iter().filter(|&&images| images > 0).map(|&images| images as f64 / count);
    PictureStatistics {
        width: 0,
        height: 0,
        brightness: mean as f32,
        contrast: variance.sqrt() as f32,
        sharpness: sharpness(&luma, width, height) as f32,
        entropy: shares.map(|share| -share * share.log2()).sum::<f64>().max(0.0) as f32,
    }
}

/// Variance of the Laplacian of 4 neighbours, over all places that have them.
fn sharpness(luma: &[f32], width: usize, height: usize) -> f64 {
    let at = |x: usize, y: usize| f64::from(luma[y * width + x]);
    let (mut sum, mut squares, mut places) = (0.0, 0.0, 0.0);
    for y in 1..height.max(1) - 1 {
        for x in 1..width.max(1) - 1 {
            let laplacian = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4.0 * at(x, y);
            (sum, squares, places) = (sum + laplacian, squares + laplacian * laplacian, places + 1.0);
        }
    }
    if places > 0.0 { (squares / places - (sum / places).powi(2)).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(grey: &[u8], size: [usize; 2]) -> PictureStatistics {
        statistics(&grey.iter().flat_map(|&value| [value; 3]).collect::<Vec<_>>(), size)
    }

    #[test]
    fn statistics_are_those_of_the_definitions() {
        let even = of(&[90; 20], [5, 4]);
        assert!((even.brightness - 90.0).abs() < 1e-3 && even.contrast < 1e-3, "{even:?}");
        assert!(even.sharpness < 1e-3 && even.entropy == 0.0, "{even:?}");
        let two = of(&[0, 255, 255, 0], [2, 2]);
        assert!((two.brightness - 127.5).abs() < 1e-3 && (two.contrast - 127.5).abs() < 1e-3, "{two:?}");
        assert!((two.entropy - 1.0).abs() < 1e-6 && two.sharpness == 0.0, "{two:?}");
        // The Laplacians are -40 at the peak, 10 on either side of it.
        let mut peak = [0; 15];
        peak[7] = 10;
        let peak = of(&peak, [5, 3]);
        let (mean, squares) = (-20.0 / 3.0, (1600.0 + 100.0 + 100.0) / 3.0);
        assert!((f64::from(peak.sharpness) - (squares - mean * mean)).abs() < 1e-2, "{peak:?}");
    }

    #[test]
    fn pictures_of_a_line_or_a_point_have_statistics_too() {
        for size in [[1, 1], [4, 1], [1, 4], [2, 2]] {
            let found = of(&vec![7; size[0] * size[1]], size);
            assert!((found.brightness - 7.0).abs() < 1e-3 && found.sharpness == 0.0, "{size:?} {found:?}");
        }
    }
}
