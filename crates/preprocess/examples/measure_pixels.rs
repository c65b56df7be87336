//! Measures what happens to each image: decoding, resizing, warping, writing and reading the shards' PNG; each on one
//! core, then decoding, resizing and one augmented copy on two, as a peer that augments while it reads does it.
//!
//! ```text
//! cargo run --release -p preprocess --example measure_pixels -- data/fashion-mnist 28
//! ```

use preprocess::augment::{Transform, augment, warp_reference};
use preprocess::duplicates::Signature;
use preprocess::folder::Folder;
use preprocess::image::{Decoded, Pixels, decode, decode_for, load, load_from_memory, png};
use preprocess::pipeline::{
    AugmentSettings, BlurSettings, ColorSettings, Copies, Fill, ImageSettings, RandAugmentSettings,
};
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
    let contents: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(&file.path)).collect::<Result<_, _>>()?;
    time("decode at full size", contents.len(), |index| drop(black_box(decode(&contents[index]))));
    time("decode", contents.len(), |index| drop(black_box(decode_for(&contents[index], &settings))));
    let decoded: Vec<Decoded> = contents.iter().filter_map(|bytes| decode_for(bytes, &settings).ok()).collect();
    time("resize", decoded.len(), |index| drop(black_box(decoded[index].resize(&settings))));
    time("signature", decoded.len(), |index| drop(black_box(Signature::of(decoded[index].pixels()))));

    let keras = AugmentSettings {
        copies: Copies::Stored(1),
        rotation: 40.0,
        shift: [0.2; 2],
        shear: 0.2,
        zoom: 0.1,
        brightness: [0.8, 1.2],
        horizontal_flip: true,
        fill: Fill::Nearest,
        ..Default::default()
    };
    time("augment", images.len(), |index| drop(black_box(augment(&images[index], &keras, 1, "a", index))));
    time("augment, reference", images.len(), |index| {
        let transform = Transform::draw(&keras, 1, "a", index, side, side);
        drop(black_box(warp_reference(&images[index], &transform, keras.fill)));
    });

    each_kind(&images);

    in_two_threads(contents.len(), |index| {
        let copy = load_from_memory(&contents[index], &settings).map(|image| augment(&image, &keras, 1, "a", index));
        drop(black_box(copy));
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

/// Each kind of change by itself, the warp that comes first in every copy included.
fn each_kind(images: &[Pixels]) {
    let with = |set: fn(&mut AugmentSettings)| {
        let mut settings = AugmentSettings { copies: Copies::Stored(1), ..Default::default() };
        set(&mut settings);
        settings
    };
    let blur = |settings: &mut AugmentSettings| {
        settings.blur = Some(BlurSettings { probability: 1.0, sigma: [0.1, 2.0] });
    };
    let color = |contrast, saturation, hue| Some(ColorSettings { contrast, saturation, hue });
    let mut kinds = vec![
        ("a warp that moves nothing", with(|_| {})),
        ("grayscale", with(|settings| settings.grayscale = 1.0)),
        ("blur", with(blur)),
        ("rand_augment", with(|settings| settings.rand_augment = Some(RandAugmentSettings::default()))),
        ("trivial_augment", with(|settings| settings.trivial_augment = true)),
    ];
    for (name, color) in [
        ("contrast", color(0.2, 0.0, 0.0)),
        ("saturation", color(0.0, 0.2, 0.0)),
        ("hue", color(0.0, 0.0, 0.05)),
        ("color, all three", color(0.2, 0.2, 0.05)),
    ] {
        kinds.push((name, AugmentSettings { color, ..with(|_| {}) }));
    }
    for (name, settings) in kinds {
        time(name, images.len(), |index| drop(black_box(augment(&images[index], &settings, 1, "a", index + 1))));
    }
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

/// The median of five passes over all images, half of them in each thread.
fn in_two_threads(images: usize, work: impl Fn(usize) + Sync) {
    let mut seconds = [0.0; 5];
    for seconds in &mut seconds {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for first in 0..2 {
                let work = &work;
                scope.spawn(move || (first..images).step_by(2).for_each(work));
            }
        });
        *seconds = started.elapsed().as_secs_f64();
    }
    seconds.sort_by(f64::total_cmp);
    println!("decode, resize and augment {:>8.0} images/s on two cores", images as f64 / seconds[2]);
}
