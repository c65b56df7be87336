//! Evidence by hand, for the tests of this directory.

use preprocess::pipeline::Split;
use train::audit::evidence::{ImageEvidence, PictureStatistics};

/// A training image of which nothing is known but its label and its probabilities, the same twice, alone in its group.
pub(super) fn image(label: usize, probabilities: &[f32]) -> ImageEvidence {
    ImageEvidence {
        path: String::new(),
        content: String::new(),
        pixels: String::new(),
        split: Split::Train,
        group: 0,
        label,
        fold: Some(0),
        probabilities: probabilities.to_vec(),
        label_probabilities: probabilities.to_vec(),
        neighbours: Vec::new(),
        copies: Vec::new(),
        typicality: None,
        picture: PictureStatistics {
            width: 400,
            height: 300,
            brightness: 120.0,
            contrast: 60.0,
            sharpness: 900.0,
            entropy: 7.0,
        },
    }
}

/// Gives each image a name, content, pixels and a group of its own.
pub(super) fn distinct(mut images: Vec<ImageEvidence>) -> Vec<ImageEvidence> {
    for (row, image) in images.iter_mut().enumerate() {
        image.path = format!("{}/{row}.png", image.label);
        image.content = format!("content {row}");
        image.pixels = format!("pixels {row}");
        image.group = row;
    }
    images
}
