//! From a file's bytes to pixels, copies and batches.

use crate::rows::{Rows, Work};
use crate::shared::batches::images_a_second_on_one_core;
use crate::shared::photos::Photos;
use crate::shared::programs::{Programs, Usage};
use crate::shared::{BATCH, SIDE, timing};
use preprocess::augment::augment;
use preprocess::image::{Pixels, decode, load_from_memory, png};
use preprocess::pipeline::{AugmentSettings, ImageSettings};
use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Duration;

/// For each row.
const BUDGET: Duration = Duration::from_millis(1000);
/// Photographs that are also tried as PNG: larger files, slower to make.
const AS_PNG: usize = 48;

/// Adds the rows of the stage. `programs` has its shards already; making them took `whole`.
pub fn measure(photos: &Photos, programs: &Programs, whole: Usage, rows: &mut Rows) -> Result<()> {
    let settings = programs.pipeline()?.preprocess;
    let files = photos.contents()?;
    on_files(&files, &settings.image, &settings.augment, rows)?;
    on_pixels(&files, &settings.image, &settings.augment, rows)?;
    let seconds = whole.time.as_secs_f64();
    let name = "the whole program: files to shards, 1 copy of each training image";
    rows.add("preprocess", name, Work { seconds, images: files.len(), ..Work::default() });
    batches(programs, rows)
}

fn on_files(files: &[Vec<u8>], image: &ImageSettings, copies: &AugmentSettings, rows: &mut Rows) -> Result<()> {
    let load = |bytes: &Vec<u8>| load_from_memory(bytes, image).context(|| "cannot decode a photograph".to_owned());
    files.iter().try_for_each(|bytes| load(bytes).map(drop))?;
    let pngs: Vec<Vec<u8>> = files.par_iter().take(AS_PNG).map(|bytes| as_png(bytes)).collect::<Result<_>>()?;
    row(rows, "JPEG decode, resize", files, |_, bytes| drop(black_box(load(bytes))));
    row(rows, "PNG decode, resize", &pngs, |_, bytes| drop(black_box(load(bytes))));
    row(rows, "JPEG decode, resize, one augmented copy", files, |at, bytes| {
        if let Ok(pixels) = load(bytes) {
            black_box(augment(&pixels, copies, 1, "photograph", at));
        }
    });
    Ok(())
}

/// Of full size, as the source of another data set may be.
fn as_png(bytes: &[u8]) -> Result<Vec<u8>> {
    let pixels = decode(bytes).context(|| "cannot decode a photograph".to_owned())?;
    let (width, height) = (pixels.width as u32, pixels.height as u32);
    let image = image::RgbImage::from_raw(width, height, pixels.data);
    let image = image.ok_or_else(|| Error::new("a decoded photograph has another size than it says"))?;
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, image::ImageFormat::Png).context(|| "cannot encode a photograph".to_owned())?;
    Ok(png.into_inner())
}

fn on_pixels(files: &[Vec<u8>], image: &ImageSettings, copies: &AugmentSettings, rows: &mut Rows) -> Result<()> {
    let load = |bytes: &Vec<u8>| load_from_memory(bytes, image).context(|| "cannot decode a photograph".to_owned());
    let pixels: Vec<Pixels> = files.par_iter().map(load).collect::<Result<_>>()?;
    let encode = |pixels: &Pixels| png::encode(pixels).context(|| "cannot encode pixels".to_owned());
    let pngs: Vec<Vec<u8>> = pixels.iter().map(encode).collect::<Result<_>>()?;
    row(rows, "one augmented copy (warp)", &pixels, |at, pixels| {
        drop(black_box(augment(pixels, copies, 1, "photograph", at)));
    });
    row(rows, "PNG encode, as the shards hold it", &pixels, |_, pixels| drop(black_box(png::encode(pixels))));
    row(rows, "PNG decode, as the shards hold it", &pngs, |_, bytes| {
        let mut pixels = vec![0; SIDE * SIDE * 3];
        drop(black_box(png::decode_into(bytes, &mut pixels)));
    });
    Ok(())
}

/// One pass over all items with all threads.
fn row<T: Sync>(rows: &mut Rows, name: &str, items: &[T], work: impl Fn(usize, &T) + Sync) {
    let pass = || items.par_iter().enumerate().for_each(|(at, item)| work(at, item));
    let seconds = timing::seconds(BUDGET, pass);
    let count = items.len() as f64;
    rows.add("preprocess", name, Work { seconds: seconds / count, images: 1, ..Work::default() });
}

/// Shards to shuffled batches, reading threads included, on one core.
fn batches(programs: &Programs, rows: &mut Rows) -> Result<()> {
    let seconds = BATCH as f64 / images_a_second_on_one_core(programs, BUDGET)?;
    let name = "shards to a shuffled batch, on one core";
    rows.add("preprocess", name, Work { seconds, images: BATCH, ..Work::default() });
    Ok(())
}
