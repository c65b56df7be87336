//! Measures, on one core, what happens to each image after it is decoded: warping, and writing and reading the shards' PNG.
//!
//! ```text
//! cargo run --release -p preprocess --example measure_pixels -- data/fashion-mnist 28
//! ```

use preprocess::augment::{Transform, augment, warp_reference};
use preprocess::folder::Folder;
use preprocess::image::{Pixels, load, png};
use preprocess::pipeline::{AugmentSettings, Fill, ImageSettings};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

const IMAGES: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let source = arguments.next().ok_or("usage: measure_pixels DIRECTORY [SIDE]")?;
    let side = arguments.next().map_or(Ok(128), |side| side.parse())?;
    let folder = Folder::discover(Path::new(&source)).map_err(|error| error.to_string())?;
    let settings = ImageSettings { width: side, height: side, ..Default::default() };
    let step = folder.images.len().div_ceil(IMAGES);
    let files: Vec<_> = folder.images.iter().step_by(step).collect();
    let images: Vec<Pixels> = files.iter().filter_map(|file| load(&file.path, &settings).ok()).collect();
    time("read, decode and resize", files.len(), |index| drop(black_box(load(&files[index].path, &settings))));

    let keras = AugmentSettings {
        copies: 1,
        rotation: 40.0,
        shift: [0.2; 2],
        shear: 0.2,
        zoom: 0.1,
        brightness: [0.8, 1.2],
        horizontal_flip: true,
        fill: Fill::Nearest,
    };
    time("augment", images.len(), |index| drop(black_box(augment(&images[index], &keras, 1, "a", index))));
    time("augment, reference", images.len(), |index| {
        let transform = Transform::draw(&keras, 1, "a", index, side, side);
        drop(black_box(warp_reference(&images[index], &transform, keras.fill)));
    });

    let files: Vec<Vec<u8>> = images.iter().map(png::encode).collect::<Result<_, _>>()?;
    let (bytes, raw) = (files.iter().map(Vec::len).sum::<usize>(), images.len() * side * side * 3);
    println!(
        "PNG: {:.0} bytes an image, {:.1} % of the pixels",
        bytes as f64 / files.len() as f64,
        100.0 * bytes as f64 / raw as f64
    );
    time("encode PNG", images.len(), |index| drop(black_box(png::encode(&images[index]))));
    let mut pixels = vec![0; side * side * 3];
    time("decode PNG", images.len(), |index| drop(black_box(png::decode_into(&files[index], &mut pixels))));
    Ok(())
}

/// The best of five passes over all images.
fn time(what: &str, images: usize, mut work: impl FnMut(usize)) {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        (0..images).for_each(&mut work);
        best = best.min(started.elapsed().as_secs_f64());
    }
    println!("{what:<26} {:>8.0} images/s on one core", images as f64 / best);
}
