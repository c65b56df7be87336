//! Measures the split of a directory of class directories: the figures of `docs/duplicates.md`.
//!
//! ```text
//! cargo run --release -p preprocess --example measure_split -- data/simpsons
//! ```
//! Prints, over several seeds, what share of each split has near-copies, how far classes are from their fractions, and
//! how many images of a class change their split when one image is removed or added: any image, one that has
//! near-copies, a new one, a near-copy of any other.

use preprocess::duplicates::{Signature, find};
use preprocess::folder::Folder;
use preprocess::image::decode_to_compare;
use preprocess::pipeline::{ImageSettings, Split, SplitSettings};
use preprocess::split::{Item, assign};
use preprocess::stage::random::{Random, stream};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

const SEEDS: u64 = 8;
const CHANGES: usize = 100;

#[derive(Clone)]
struct Image {
    content: String,
    label: usize,
    group: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = std::env::args().nth(1).ok_or("usage: measure_split DIRECTORY")?;
    let folder = Folder::discover(Path::new(&source)).map_err(|error| error.to_string())?;
    let images = images(&folder)?;
    let copies = |images: &[Image]| has_copies(images).into_iter().filter(|has| *has).count();
    println!("{} images, {:.2} % with near-copies", images.len(), 100.0 * copies(&images) as f64 / images.len() as f64);
    let mut worst_fraction = 0.0f64;
    for seed in 1..=SEEDS {
        let splits = splits(&images, &folder.classes, seed)?;
        let shares = shares(&images, &splits);
        worst_fraction = worst_fraction.max(fraction(&images, &splits, folder.classes.len()));
        println!(
            "seed {seed}: {:.2} % of training, {:.2} % of validation, {:.2} % of test",
            shares[0], shares[1], shares[2]
        );
    }
    println!("a class is at most {worst_fraction:.1} images from its fractions");
    type Change = fn(&[Image], &mut Random) -> Vec<Image>;
    let changes: [(&str, Change); 4] = [
        ("one removed", |images, random| without(images, random, false)),
        ("one with copies removed", |images, random| without(images, random, true)),
        ("a new one", |images, random| with(images, random, false)),
        ("a near-copy of one", |images, random| with(images, random, true)),
    ];
    println!("of the class most concerned, of all classes: images that change their split");
    for (name, change) in changes {
        let moves: Vec<(f64, usize)> =
            (1..=SEEDS).into_par_iter().flat_map_iter(|seed| moves(&images, &folder.classes, seed, change)).collect();
        print_moves(name, moves);
    }
    Ok(())
}

fn images(folder: &Folder) -> Result<Vec<Image>, Box<dyn std::error::Error>> {
    let settings = ImageSettings::default();
    let signed: Vec<(usize, String, Signature)> = folder
        .images
        .par_iter()
        .filter_map(|image| {
            let bytes = std::fs::read(&image.path).ok()?;
            let signature = Signature::of(decode_to_compare(&bytes, &settings).ok()?.to_compare());
            Some((image.label, blake3::hash(&bytes).to_hex().to_string(), signature))
        })
        .collect();
    let signatures: Vec<Signature> = signed.iter().map(|(_, _, signature)| signature.clone()).collect();
    let labels: Vec<usize> = signed.iter().map(|(label, _, _)| *label).collect();
    let found = find(&signatures, &labels).map_err(|error| error.to_string())?;
    Ok(std::iter::zip(signed, found.group)
        .map(|((label, content, _), group)| Image { content, label, group })
        .collect())
}

fn has_copies(images: &[Image]) -> Vec<bool> {
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    images.iter().for_each(|image| *sizes.entry(image.group).or_default() += 1);
    images.iter().map(|image| sizes[&image.group] > 1).collect()
}

fn splits(images: &[Image], classes: &[String], seed: u64) -> Result<Vec<Split>, Box<dyn std::error::Error>> {
    let item = |image: &'_ Image| (image.label, image.group);
    let items: Vec<Item> = images
        .iter()
        .map(|image| {
            let (label, group) = item(image);
            Item { content: &image.content, label, group, given: None, kept: None }
        })
        .collect();
    let settings = SplitSettings { seed, ..SplitSettings::default() };
    Ok(assign(&items, classes, &settings).map_err(|error| error.to_string())?)
}

/// The share of each split that has copies, in percent.
fn shares(images: &[Image], splits: &[Split]) -> [f64; 3] {
    let has = has_copies(images);
    Split::ALL.map(|split| {
        let of_split = || std::iter::zip(&has, splits).filter(|(_, is)| **is == split);
        100.0 * of_split().filter(|(has, _)| **has).count() as f64 / of_split().count().max(1) as f64
    })
}

/// The largest distance of a class from its fractions, in images.
fn fraction(images: &[Image], splits: &[Split], classes: usize) -> f64 {
    let settings = SplitSettings::default();
    let mut worst = 0.0f64;
    for class in 0..classes {
        let of_class: Vec<Split> =
            std::iter::zip(images, splits).filter(|(image, _)| image.label == class).map(|(_, split)| *split).collect();
        for (split, fraction) in [(Split::Validation, settings.validation), (Split::Test, settings.test)] {
            let has = of_class.iter().filter(|is| **is == split).count() as f64;
            worst = worst.max((has - fraction * of_class.len() as f64).abs());
        }
    }
    worst
}

fn without(images: &[Image], random: &mut Random, copies: bool) -> Vec<Image> {
    let has = has_copies(images);
    let eligible: Vec<usize> = (0..images.len()).filter(|&index| has[index] || !copies).collect();
    let gone = eligible[random.below(eligible.len())];
    let mut images = images.to_vec();
    images.remove(gone);
    images
}

fn with(images: &[Image], random: &mut Random, copy: bool) -> Vec<Image> {
    let like = images[random.below(images.len())].clone();
    let group = if copy { like.group } else { usize::MAX };
    let mut images = images.to_vec();
    images.push(Image { content: format!("{:016x}", random.bits()), group, ..like });
    images
}

/// For each change, the share of a class, in percent, and the number of images that change their split.
fn moves(
    images: &[Image],
    classes: &[String],
    seed: u64,
    change: fn(&[Image], &mut Random) -> Vec<Image>,
) -> Vec<(f64, usize)> {
    let mut random = stream(seed, "measure", &[]);
    let Ok(before) = splits(images, classes, seed) else { return Vec::new() };
    let before: HashMap<&str, Split> =
        std::iter::zip(images, before).map(|(image, split)| (image.content.as_str(), split)).collect();
    let mut sizes = vec![0usize; classes.len()];
    images.iter().for_each(|image| sizes[image.label] += 1);
    let one = |random: &mut Random| {
        let changed = change(images, random);
        let after = splits(&changed, classes, seed).ok()?;
        let mut moved = vec![0usize; classes.len()];
        for (image, split) in std::iter::zip(&changed, after) {
            moved[image.label] +=
                usize::from(before.get(image.content.as_str()).is_some_and(|before| *before != split));
        }
        let share = std::iter::zip(&moved, &sizes).map(|(moved, size)| 100.0 * *moved as f64 / *size as f64);
        Some((share.fold(0.0, f64::max), moved.iter().sum()))
    };
    (0..CHANGES).filter_map(|_| one(&mut random)).collect()
}

fn print_moves(name: &str, mut moves: Vec<(f64, usize)>) {
    let mean = |value: &dyn Fn(&(f64, usize)) -> f64| moves.iter().map(value).sum::<f64>() / moves.len() as f64;
    let (share, images) = (mean(&|moved| moved.0), mean(&|moved| moved.1 as f64));
    let above = 100.0 * moves.iter().filter(|moved| moved.0 > 1.0).count() as f64 / moves.len() as f64;
    moves.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |part: usize| moves[(moves.len() - 1) * part / 100].0;
    let most = moves.iter().map(|moved| moved.1).max().unwrap_or(0);
    println!(
        "{name:<24} mean {share:.3} %, 99th percentile {:.2} %, worst {:.2} %; above 1 %: {above:.2} % of {}; images: mean {images:.2}, \
         worst {most}",
        at(99),
        at(100),
        moves.len()
    );
}
