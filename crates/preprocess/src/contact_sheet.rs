//! A picture of sample training images with their class names, and beside each its augmented copies.

use crate::folder::Folder;
use crate::image::Pixels;
use crate::pipeline::Split;
use crate::stage::names::shown;
use font8x8::UnicodeFonts;

/// The most classes, images a class and copies that are shown: a sheet that fits a screen.
const MAX_CLASSES: usize = 24;
const IMAGES_A_CLASS: usize = 2;
/// Copies shown beside an image.
pub(crate) const MAX_COPIES: usize = 8;

const MARGIN: usize = 8;
const GLYPH: usize = 8;
const TITLE_HEIGHT: usize = GLYPH + 6;
const BACKGROUND: [u8; 3] = [250, 250, 250];
const INK: [u8; 3] = [20, 20, 20];

/// One image and its copies, from copy 0 on, all of one size.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Its class.
    pub class: String,
    /// At least one.
    pub images: Vec<Pixels>,
}

/// The images to show: the first training images of evenly chosen classes.
pub(crate) fn choose(folder: &Folder, splits: &[Option<Split>]) -> Vec<usize> {
    let shown = folder.classes.len().min(MAX_CLASSES);
    let classes = (0..shown).map(|index| index * folder.classes.len() / shown);
    classes
        .flat_map(|class| {
            let of_class = |&index: &usize| folder.images[index].label == class && splits[index] == Some(Split::Train);
            (0..splits.len()).filter(of_class).take(IMAGES_A_CLASS).collect::<Vec<_>>()
        })
        .collect()
}

/// Draws one line for each sample: the class's name above, the image and its copies side by side.
pub(crate) fn draw(samples: &[Sample]) -> Pixels {
    let (cell_width, cell_height) =
        samples.first().map_or((1, 1), |sample| (sample.images[0].width, sample.images[0].height));
    let columns = samples.iter().map(|sample| sample.images.len()).max().unwrap_or(1);
    let title_width =
        samples.iter().map(|sample| shown(&sample.class).chars().count() * GLYPH).max().unwrap_or(0).min(640);
    let width = 2 * MARGIN + (columns * (cell_width + MARGIN) - MARGIN).max(title_width);
    let line_height = TITLE_HEIGHT + cell_height + MARGIN;
    let height = 2 * MARGIN + samples.len() * line_height;
    let mut sheet = Pixels { width, height, data: BACKGROUND.repeat(width * height) };
    for (line, sample) in samples.iter().enumerate() {
        let top = MARGIN + line * line_height;
        write_text(&mut sheet, MARGIN, top, &sample.class);
        for (column, image) in sample.images.iter().enumerate() {
            paste(&mut sheet, image, MARGIN + column * (cell_width + MARGIN), top + TITLE_HEIGHT);
        }
    }
    sheet
}

fn paste(sheet: &mut Pixels, image: &Pixels, left: usize, top: usize) {
    for (row, line) in image.data.chunks_exact(image.width * 3).enumerate() {
        let start = ((top + row) * sheet.width + left) * 3;
        sheet.data[start..start + line.len()].copy_from_slice(line);
    }
}

/// Writes as much of the text as fits; characters that the font lacks are shown as boxes.
fn write_text(sheet: &mut Pixels, left: usize, top: usize, text: &str) {
    const BOX: [u8; GLYPH] = [0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0x00];
    let fitting = (sheet.width - left - MARGIN) / GLYPH;
    let text = shown(text);
    for (position, character) in text.chars().take(fitting).enumerate() {
        let glyph = glyph(character).unwrap_or(BOX);
        for (row, bits) in glyph.iter().enumerate() {
            for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                let at = ((top + row) * sheet.width + left + position * GLYPH + column) * 3;
                sheet.data[at..at + 3].copy_from_slice(&INK);
            }
        }
    }
}

fn glyph(character: char) -> Option<[u8; GLYPH]> {
    let (basic, latin, greek) = (font8x8::BASIC_FONTS, font8x8::LATIN_FONTS, font8x8::GREEK_FONTS);
    basic
        .get(character)
        .or_else(|| latin.get(character))
        .or_else(|| greek.get(character))
        .or_else(|| font8x8::HIRAGANA_FONTS.get(character))
}
