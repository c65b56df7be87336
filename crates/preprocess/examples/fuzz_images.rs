//! Alters image files and decodes them: `make fuzz`, or
//!
//! ```text
//! cargo run --release -p preprocess --example fuzz_images -- ROUNDS SEED [DIRECTORY…]
//! ```
//! Takes the fixtures of the tests, or the files of the directories. Every alteration follows from the seed and the
//! round. What must hold: nothing panics beyond the decoder, no decoding takes longer than [`LONGEST`] or the process
//! more than [`MOST_MEMORY`], and a file that is cut short is refused or shows the whole picture. Prints counts by
//! kind of file; exit code 1 with the rounds that break a rule.

use preprocess::image::{Pixels, decode_for, load_from_memory};
use preprocess::pipeline::{Filter, Fit, ImageSettings};
use preprocess::stage::random::{Random, stream};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The longest that one file may take.
const LONGEST: Duration = Duration::from_secs(5);

/// The most that the process may take, in bytes.
const MOST_MEMORY: u64 = 1_500_000_000;

/// A file, and what it shows.
struct Seed {
    name: String,
    bytes: Vec<u8>,
    pixels: Option<Pixels>,
}

/// What became of an altered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    /// A decoder panicked, and that was caught.
    Contained,
    Same,
    Other,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seed) = (number(0, 20_000), number(1, 1));
    let seeds = seeds(arguments.get(2..).unwrap_or_default());
    if seeds.is_empty() {
        eprintln!("error: there are no files to alter");
        return ExitCode::from(2);
    }
    let results: Vec<(usize, Outcome, Option<String>)> =
        (0..rounds).into_par_iter().map(|round| one_round(&seeds, seed, round)).collect();
    let mut counts: BTreeMap<(&str, Outcome), usize> = BTreeMap::new();
    for (file, outcome, _) in &results {
        let kind = seeds[*file].name.rsplit('.').next().unwrap_or_default();
        *counts.entry((kind, *outcome)).or_default() += 1;
    }
    for ((kind, outcome), count) in counts {
        println!("{kind:6} {outcome:?}: {count}");
    }
    let mut broken: Vec<String> = results.into_iter().filter_map(|(_, _, broken)| broken).collect();
    let most = most_memory();
    println!("{rounds} rounds over {} files; at most {} MB of memory", seeds.len(), most / 1_000_000);
    if most > MOST_MEMORY {
        broken.push(format!("the process took {} MB", most / 1_000_000));
    }
    broken.iter().take(20).for_each(|text| println!("BROKEN: {text}"));
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seeds(directories: &[String]) -> Vec<Seed> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut directories: Vec<PathBuf> = directories.iter().map(PathBuf::from).collect();
    if directories.is_empty() {
        directories = ["images", "jpeg", "formats"].map(|name| fixtures.join(name)).into();
    }
    let files = directories.iter().flat_map(|directory| std::fs::read_dir(directory).into_iter().flatten().flatten());
    let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).ok()?;
        let pixels = load_from_memory(&bytes, &ImageSettings::default()).ok();
        Some(Seed { name: path.file_name()?.to_string_lossy().into_owned(), bytes, pixels })
    };
    files.into_iter().filter_map(read).filter(|seed| !seed.bytes.is_empty()).collect()
}

fn one_round(seeds: &[Seed], seed: u64, round: u64) -> (usize, Outcome, Option<String>) {
    let mut random = stream(seed, "fuzz", &[&round.to_le_bytes()]);
    let file = below(&mut random, seeds.len());
    let whole = &seeds[file];
    let (bytes, is_cut) = altered(&whole.bytes, &mut random);
    let started = Instant::now();
    let (outcome, reason) = match load_from_memory(&bytes, &ImageSettings::default()) {
        Err(error) if error.reason.contains("does not foresee") => (Outcome::Contained, error.reason),
        Err(error) => (Outcome::Refused, error.reason),
        Ok(pixels) if Some(&pixels) == whole.pixels.as_ref() => (Outcome::Same, String::new()),
        Ok(_) => (Outcome::Other, String::new()),
    };
    // Another size, fit and filter takes other ways through the decoder and the resizing.
    let other = settings(&mut random);
    let agrees = decode_for(&bytes, &other).is_ok() == matches!(outcome, Outcome::Same | Outcome::Other);
    let took = started.elapsed();
    let told = |what: &str| Some(format!("round {round}, `{}`: {what} ({reason})", whole.name));
    // Digits at the end of a text and chunks behind the pixels leave no trace.
    let may_differ = whole.name.contains(".text.") || whole.name.contains("behind");
    let broken = match outcome {
        _ if took > LONGEST => told(&format!("took {took:?}")),
        _ if !agrees => told("is refused for one size and read for another"),
        Outcome::Other if is_cut && !may_differ && whole.pixels.is_some() => told("shows another picture, cut short"),
        _ => None,
    };
    (file, outcome, broken)
}

fn below(random: &mut Random, end: usize) -> usize {
    (random.uniform() * end as f64) as usize
}

/// A file cut, or with some bytes changed, junk put in, a part taken out, doubled or filled; and whether it was cut.
fn altered(bytes: &[u8], random: &mut Random) -> (Vec<u8>, bool) {
    let mut altered = bytes.to_vec();
    let from = below(random, bytes.len());
    let length = 1 + below(random, (bytes.len() - from).min(64));
    let byte = |random: &mut Random| below(random, 256) as u8;
    match below(random, 7) {
        0 => altered.truncate(from),
        1 => drop(altered.drain(from..from + length)),
        2 => drop(altered.splice(from..from, bytes[from..from + length].to_vec())),
        3 => {
            let junk: Vec<u8> = (0..length).map(|_| byte(random)).collect();
            drop(altered.splice(from..from, junk));
        }
        4 => altered[from..from + length].fill([0, 0xff][below(random, 2)]),
        // Headers are a small part of a file and hold most of what can be believed too soon.
        5 => altered[from.min(127 * from / bytes.len())] = byte(random),
        _ => (0..=below(random, 3)).for_each(|_| {
            let at = below(random, bytes.len());
            altered[at] = byte(random);
        }),
    }
    let is_cut = altered.len() < bytes.len() && bytes.starts_with(&altered);
    (altered, is_cut)
}

fn settings(random: &mut Random) -> ImageSettings {
    let side = |random: &mut Random| [1, 7, 48, 64, 224][below(random, 5)];
    ImageSettings {
        width: side(random),
        height: side(random),
        fit: [Fit::Stretch, Fit::Crop, Fit::Pad][below(random, 3)],
        crop_fraction: [1.0, 0.875, 0.1][below(random, 3)],
        filter: [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos][below(random, 4)],
    }
}

/// The most memory that the process has taken, in bytes; 0 where the system does not say.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
