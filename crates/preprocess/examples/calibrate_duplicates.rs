//! Measures how the near-duplicate rule behaves on a directory of class directories: the figures of
//! `docs/duplicates.md`.
//!
//! ```text
//! cargo run --release -p preprocess --example calibrate_duplicates -- data/fashion-mnist
//! ```
//! Prints, for each limit on the hash's distance, the share of images whose nearest image of the same class, and of
//! another class, passes the whole rule, as it is and mirrored; the share of altered copies of single images that it
//! recognises; and the groups that it makes.

use image::codecs::jpeg::JpegEncoder;
use preprocess::duplicates::{MIN_CORRELATION, Signature, Way, find};
use preprocess::folder::Folder;
use preprocess::image::{Pixels, decode, decode_to_compare, resize};
use preprocess::pipeline::ImageSettings;
use rayon::prelude::*;
use std::path::Path;

const LIMITS: [u32; 9] = [24, 32, 36, 40, 44, 48, 56, 64, 80];
/// Every so many images are altered.
const STEP: usize = 17;

type Alteration = (&'static str, fn(&Pixels) -> Option<Pixels>);

const ALTERATIONS: [Alteration; 10] = [
    ("mirrored, JPEG quality 50", |pixels| recompressed(&mirrored(pixels), 50)),
    ("JPEG quality 50", |pixels| recompressed(pixels, 50)),
    ("JPEG quality 20", |pixels| recompressed(pixels, 20)),
    ("resized to 75 %", |pixels| Some(resized(pixels, 0.75))),
    ("resized to 50 %", |pixels| Some(resized(pixels, 0.5))),
    ("brightness x 1.2", |pixels| Some(brightened(pixels, 1.2))),
    ("brightness x 0.7", |pixels| Some(brightened(pixels, 0.7))),
    ("shifted by 1 pixel", |pixels| Some(cropped(pixels, 1, 1, 0, 0))),
    ("shifted by 2 pixels", |pixels| Some(cropped(pixels, 2, 2, 0, 0))),
    ("2 % cut off each side", |pixels| {
        let (x, y) = (pixels.width / 50, pixels.height / 50);
        Some(cropped(pixels, x, y, x, y))
    }),
];

fn mirrored(pixels: &Pixels) -> Pixels {
    let mut data = Vec::with_capacity(pixels.data.len());
    for row in pixels.data.chunks_exact(pixels.width * 3) {
        row.rchunks_exact(3).for_each(|pixel| data.extend_from_slice(pixel));
    }
    Pixels { data, ..*pixels }
}

fn recompressed(pixels: &Pixels, quality: u8) -> Option<Pixels> {
    let mut bytes = Vec::new();
    let (width, height) = (pixels.width as u32, pixels.height as u32);
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    encoder.encode(&pixels.data, width, height, image::ExtendedColorType::Rgb8).ok()?;
    decode(&bytes).ok()
}

fn resized(pixels: &Pixels, factor: f64) -> Pixels {
    let side = |length: usize| ((length as f64 * factor).round() as usize).max(1);
    let (width, height) = (side(pixels.width), side(pixels.height));
    resize(pixels, &ImageSettings { width, height, ..ImageSettings::default() })
}

fn brightened(pixels: &Pixels, factor: f64) -> Pixels {
    let data = pixels.data.iter().map(|&value| (f64::from(value) * factor).round() as u8).collect();
    Pixels { data, ..*pixels }
}

fn cropped(pixels: &Pixels, left: usize, top: usize, right: usize, bottom: usize) -> Pixels {
    let (width, height) = (pixels.width - left - right, pixels.height - top - bottom);
    let rows = (top..top + height).map(|row| &pixels.data[(row * pixels.width + left) * 3..][..width * 3]);
    Pixels { width, height, data: rows.flatten().copied().collect() }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = std::env::args().nth(1).ok_or("usage: calibrate_duplicates DIRECTORY")?;
    let folder = Folder::discover(Path::new(&source)).map_err(|error| error.to_string())?;
    // As `preprocess` does, whatever the model's size.
    let settings = ImageSettings::default();
    let decoded = |index: usize| {
        let bytes = std::fs::read(&folder.images[index].path).ok()?;
        Some(decode_to_compare(&bytes, &settings).ok()?.to_compare().clone())
    };
    let signed: Vec<(usize, Signature)> = (0..folder.images.len())
        .into_par_iter()
        .filter_map(|index| Some((folder.images[index].label, Signature::of(&decoded(index)?))))
        .collect();
    for way in [Way::Plain, Way::Mirrored] {
        nearest(&signed, way);
    }
    recall((0..folder.images.len()).step_by(STEP).filter_map(decoded).collect());
    groups(&signed)
}

/// The least distance among images that correlate enough, to the same class and to others.
fn nearest(signed: &[(usize, Signature)], way: Way) {
    let least: Vec<[u32; 2]> = signed
        .par_iter()
        .map(|(label, signature)| {
            let mut least = [u32::MAX; 2];
            for (other_label, other) in signed.iter().filter(|(_, other)| !std::ptr::eq(signature, other)) {
                let distance = signature.distance(other, way);
                let least = &mut least[usize::from(label != other_label)];
                if distance < *least && distance <= 80 && signature.correlation(other, way) >= MIN_CORRELATION {
                    *least = distance;
                }
            }
            least
        })
        .collect();
    println!(
        "{} images, {way:?}; share with a partner within the limit and of correlation {MIN_CORRELATION} or more",
        signed.len()
    );
    println!("{:>8} {:>12} {:>14}", "limit", "same class", "another class");
    for limit in LIMITS {
        let share = |which: usize| {
            100.0 * least.iter().filter(|least| least[which] <= limit).count() as f64 / signed.len() as f64
        };
        println!("{limit:>8} {:>10.2} % {:>12.2} %", share(0), share(1));
    }
}

fn recall(samples: Vec<Pixels>) {
    println!("share of altered copies recognised, of {} images, at each limit", samples.len());
    println!("{:<24}{}", "", LIMITS.map(|limit| format!("{limit:>8}")).concat());
    for (name, alter) in ALTERATIONS {
        let pairs: Vec<(u32, f64)> = samples
            .par_iter()
            .filter_map(|pixels| {
                let (one, other) = (Signature::of(pixels), Signature::of(&alter(pixels)?));
                let way = if name.starts_with("mirrored") { Way::Mirrored } else { Way::Plain };
                Some((one.distance(&other, way), one.correlation(&other, way)))
            })
            .collect();
        let share = |limit: u32| {
            let found =
                pairs.iter().filter(|(distance, correlation)| *distance <= limit && *correlation >= MIN_CORRELATION);
            100.0 * found.count() as f64 / pairs.len().max(1) as f64
        };
        println!("{name:<24}{}", LIMITS.map(|limit| format!("{:>6.1} %", share(limit))).concat());
    }
}

fn groups(signed: &[(usize, Signature)]) -> Result<(), Box<dyn std::error::Error>> {
    let signatures: Vec<Signature> = signed.iter().map(|(_, signature)| signature.clone()).collect();
    let started = std::time::Instant::now();
    let labels: Vec<usize> = signed.iter().map(|(label, _)| *label).collect();
    let duplicates = find(&signatures, &labels).map_err(|error| error.to_string())?;
    let elapsed = started.elapsed();
    let mut sizes = vec![0usize; signatures.len()];
    for &group in &duplicates.group {
        sizes[group] += 1;
    }
    sizes.retain(|&size| size > 1);
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    println!(
        "at the limit chosen, {}: {} exact copies, {} images ({:.1} %) in {} groups, the largest of {:?}; found in {:.2} s",
        duplicates.max_distance,
        duplicates.exact(),
        sizes.iter().sum::<usize>(),
        100.0 * sizes.iter().sum::<usize>() as f64 / signatures.len() as f64,
        sizes.len(),
        &sizes[..sizes.len().min(8)],
        elapsed.as_secs_f64()
    );
    Ok(())
}
