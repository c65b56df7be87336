//! Copies of images that the audit is to find: how many of each kind it does, and what else it takes for copies.

use super::programs::{self, Run};
use super::shared::table::Table;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, RgbImage, imageops};
use preprocess::stage::error::Context;
use preprocess::stage::random::{self, Random};
use preprocess::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Images that are copied, as many of each kind.
const COPIED: usize = 400;

/// What becomes of a copy before it is encoded.
type Change = fn(&RgbImage, &mut Random) -> RgbImage;

/// Name, change and JPEG quality of each kind of copy.
const KINDS: [(&str, Change, u8); 4] = [
    ("crop of 90 % of either side", cropped, 92),
    ("mirrored", |image, _| imageops::flip_horizontal(image), 92),
    ("JPEG quality 30", |image, _| image.clone(), 30),
    ("brightness 0.7", |image, _| dimmed(image), 92),
];

fn cropped(image: &RgbImage, stream: &mut Random) -> RgbImage {
    let [width, height] = [image.width(), image.height()].map(|side| (side * 9 / 10).max(1));
    let mut place = |all: u32, part: u32| stream.below((all - part + 1) as usize) as u32;
    let [x, y] = [place(image.width(), width), place(image.height(), height)];
    imageops::crop_imm(image, x, y, width, height).to_image()
}

fn dimmed(image: &RgbImage) -> RgbImage {
    let mut dimmed = image.clone();
    dimmed.iter_mut().for_each(|value| *value = (0.7 * f64::from(*value)).round() as u8);
    dimmed
}

/// A copy, the image that it is of, and its kind.
type Planted = (String, String, usize);

/// TrashNet with copies of some of its images.
///
/// # Errors
/// An image cannot be read; the programs fail.
pub fn print_table(seeds: &[u64]) -> Result<()> {
    let mut header = vec!["copies".to_owned(), ">seed".to_owned()];
    header.extend(KINDS.map(|(kind, ..)| format!(">{kind}")));
    header.extend([">all found".to_owned(), ">other pairs, of all images".to_owned()]);
    let mut table = Table::new(&header.iter().map(String::as_str).collect::<Vec<_>>());
    for &seed in seeds {
        let original = programs::given("TRASHNET", "data/trashnet");
        let target = Path::new("runs/bench-audit").join(format!("copies-images-{seed}"));
        let planted = plant(Path::new(&original), &target, seed)?;
        let run = Run::new(&format!("copies-{seed}"), &target, 224, seed)?;
        let file = run.corrections();
        std::fs::write(&file, "path,action\n").context(|| format!("cannot write `{}`", file.display()))?;
        run.make(&["preprocess", "train"])?;
        table.row(row(&run, &planted, seed)?);
    }
    println!("\nCopies planted in TrashNet, found by their hashes or by features and pixels:\n");
    table.print();
    Ok(())
}

fn plant(source: &Path, target: &Path, seed: u64) -> Result<Vec<Planted>> {
    let mut images = programs::images(source)?;
    for (class, path) in &images {
        let directory = target.join(class);
        std::fs::create_dir_all(&directory).context(|| format!("cannot create `{}`", directory.display()))?;
        std::fs::copy(source.join(path), target.join(path)).context(|| format!("cannot copy `{path}`"))?;
    }
    let mut stream = random::stream(seed, "copies", &[]);
    stream.shuffle(&mut images);
    let mut planted = Vec::new();
    for (number, (class, path)) in images.into_iter().take(COPIED).enumerate() {
        let kind = number % KINDS.len();
        let (_, change, quality) = KINDS[kind];
        let original = image::open(source.join(&path)).context(|| format!("cannot read `{path}`"))?.into_rgb8();
        let copy = DynamicImage::ImageRgb8(change(&original, &mut stream));
        let name = format!("{class}/copy-{number}.jpg");
        let mut bytes = Vec::new();
        copy.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))
            .context(|| format!("cannot encode `{name}`"))?;
        std::fs::write(target.join(&name), bytes).context(|| format!("cannot write `{name}`"))?;
        planted.push((name, path, kind));
    }
    Ok(planted)
}

fn row(run: &Run, planted: &[Planted], seed: u64) -> Result<Vec<String>> {
    let evidence = run.evidence()?;
    let row_of: BTreeMap<&str, usize> =
        evidence.images.iter().enumerate().map(|(row, image)| (image.path.as_str(), row)).collect();
    let row = |path: &str| row_of.get(path).copied().ok_or_else(|| Error::new(format!("`{path}` was lost")));
    let (mut found, mut all) = ([0usize; KINDS.len()], [0usize; KINDS.len()]);
    // What a planted copy is a copy of, is what its original is.
    let mut original_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (copy, original, kind) in planted {
        let (copy, original) = (row(copy)?, row(original)?);
        let image = &evidence.images[copy];
        let is_found = image.group == evidence.images[original].group || image.copies.contains(&original);
        found[*kind] += usize::from(is_found);
        all[*kind] += 1;
        original_of.insert(copy, original);
    }
    let original = |row: usize| original_of.get(&row).copied().unwrap_or(row);
    let pairs = evidence.images.iter().enumerate();
    let pairs = pairs.flat_map(|(row, image)| image.copies.iter().map(move |&other| (row, other)));
    let others: BTreeSet<(usize, usize)> = pairs
        .map(|(a, b)| (original(a).min(original(b)), original(a).max(original(b))))
        .filter(|(a, b)| a != b)
        .collect();
    let part = |found: usize, all: usize| format!("{:.1} %", 100.0 * found as f64 / all.max(1) as f64);
    let mut cells = vec![planted.len().to_string(), seed.to_string()];
    cells.extend(found.iter().zip(all).map(|(&found, all)| part(found, all)));
    cells.push(part(found.iter().sum(), planted.len()));
    cells.push(format!("{} ({})", others.len(), part(others.len(), evidence.images.len() - planted.len())));
    Ok(cells)
}
