//! Photographs in class directories: a sample of those that the environment variable `IMAGES` names, or drawn ones.

use super::CLASSES;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use preprocess::folder::Folder;
use preprocess::stage::error::Context;
use preprocess::stage::random::{self, Random};
use preprocess::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Pixels of a drawn photograph.
const WIDTH: usize = 320;
const HEIGHT: usize = 432;
/// Of a drawn photograph: what cameras and web sites use.
const JPEG_QUALITY: u8 = 85;

/// JPEG files (or whatever the directory held) in class directories of their own, gone when dropped.
pub struct Photos {
    directory: TempDir,
    /// What they are, for the table's heading.
    pub origin: String,
    /// Their paths.
    pub files: Vec<PathBuf>,
}

impl Photos {
    /// At most `count` photographs, spread evenly over the directory that `IMAGES` names; or `count` drawn ones.
    ///
    /// # Errors
    /// The directory holds no class directories; the disk is full.
    pub fn gather(count: usize) -> Result<Self> {
        let directory = tempfile::tempdir().context(|| "cannot create a temporary directory".to_owned())?;
        let source = std::env::var_os("IMAGES").filter(|source| !source.is_empty()).map(PathBuf::from);
        let files = match &source {
            Some(source) => sample(source, count, directory.path())?,
            None => draw_all(count, directory.path())?,
        };
        let origin = match source {
            Some(_) => format!("{} images of `IMAGES`", files.len()),
            None => format!("{} drawn photographs, JPEG, {WIDTH}x{HEIGHT}", files.len()),
        };
        Ok(Self { directory, origin, files })
    }

    /// The class directories' directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The files' contents.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn contents(&self) -> Result<Vec<Vec<u8>>> {
        let read = |file: &PathBuf| std::fs::read(file).context(|| format!("cannot read `{}`", file.display()));
        self.files.iter().map(read).collect()
    }
}

/// Copies a sample, so that programs that take a whole directory can be given it.
fn sample(source: &Path, count: usize, into: &Path) -> Result<Vec<PathBuf>> {
    let folder = Folder::discover(source)?;
    let (found, taken) = (folder.images.len(), count.min(folder.images.len()));
    let copy = |at: usize| {
        let image = &folder.images[at * found / taken];
        let name = image.path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let target = into.join(&folder.classes[image.label]).join(format!("{at:06}.{name}"));
        write(&target, &std::fs::read(&image.path).context(|| format!("cannot read `{}`", image.path.display()))?)?;
        Ok(target)
    };
    (0..taken).map(copy).collect()
}

fn draw_all(count: usize, into: &Path) -> Result<Vec<PathBuf>> {
    let one = |at: usize| {
        let target = into.join(format!("class-{:02}", at % CLASSES)).join(format!("{at:06}.jpg"));
        write(&target, &draw(at)?)?;
        Ok(target)
    };
    (0..count).into_par_iter().map(one).collect()
}

fn write(target: &Path, bytes: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write `{}`", target.display());
    let parent = target.parent().ok_or_else(|| Error::new(cannot()))?;
    std::fs::create_dir_all(parent).and_then(|()| std::fs::write(target, bytes)).context(cannot)
}

/// What a decoder finds in a photograph: smooth light, objects with edges, and the noise of a sensor.
fn draw(number: usize) -> Result<Vec<u8>> {
    let mut random = random::stream(number as u64, "photograph", &[]);
    let corners: [[f64; 3]; 4] = std::array::from_fn(|_| colour(&mut random));
    let discs: Vec<Disc> = (0..24).map(|_| Disc::draw(&mut random)).collect();
    let mut rgb = Vec::with_capacity(WIDTH * HEIGHT * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let noise = random.range(-6.0, 6.0);
            let at = [x as f64 / WIDTH as f64, y as f64 / HEIGHT as f64];
            let disc = discs.iter().find(|disc| disc.holds(at));
            let light = disc.map_or_else(|| blend(&corners, at), |disc| disc.light(at));
            rgb.extend(light.map(|value| (value + noise).clamp(0.0, 255.0) as u8));
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .write_image(&rgb, WIDTH as u32, HEIGHT as u32, ExtendedColorType::Rgb8)
        .context(|| "cannot encode a photograph".to_owned())?;
    Ok(jpeg)
}

fn colour(random: &mut Random) -> [f64; 3] {
    std::array::from_fn(|_| random.range(20.0, 235.0))
}

/// Between the colours of the four corners.
fn blend(corners: &[[f64; 3]; 4], [x, y]: [f64; 2]) -> [f64; 3] {
    std::array::from_fn(|c| {
        let (top, bottom) =
            (corners[0][c] * (1.0 - x) + corners[1][c] * x, corners[2][c] * (1.0 - x) + corners[3][c] * x);
        top * (1.0 - y) + bottom * y
    })
}

/// A shaded object; sizes as fractions of the image.
struct Disc {
    centre: [f64; 2],
    radius: f64,
    colour: [f64; 3],
}

impl Disc {
    fn draw(random: &mut Random) -> Self {
        let (centre, radius) = ([random.uniform(), random.uniform()], random.range(0.02, 0.2));
        Self { centre, radius, colour: colour(random) }
    }

    fn distance(&self, [x, y]: [f64; 2]) -> f64 {
        (x - self.centre[0]).hypot(y - self.centre[1])
    }

    fn holds(&self, at: [f64; 2]) -> bool {
        self.distance(at) < self.radius
    }

    fn light(&self, at: [f64; 2]) -> [f64; 3] {
        self.colour.map(|value| value * (1.0 - 0.5 * self.distance(at) / self.radius))
    }
}
