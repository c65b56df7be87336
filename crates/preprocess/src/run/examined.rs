//! What decoding said of each image, kept from run to run.

use super::directory::ShardsDirectory;
use crate::duplicates::Kind;
use crate::image::MAX_SIDE;
use crate::stage::sealed;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The file's name in the state's directory.
pub(crate) const FILE: &str = "examined.json";

/// What decoding said of each image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Examined {
    /// The images and settings that this is about.
    pub(super) key: String,
    /// For each image what was found, or why it could not be decoded.
    pub(super) images: Vec<Result<Image, String>>,
    /// The limit on the hash's distance that was used.
    pub max_distance: u32,
    /// For each image, whether it is left out of the data set.
    #[serde(skip)]
    pub(super) dropped: Vec<bool>,
}

/// What was found of an image that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    /// Its group of copies.
    pub group: usize,
    /// By what it hangs together with its group; none for one that stands alone.
    pub kind: Option<Kind>,
    /// A number that it shares with the images of equal pixels.
    pub equal: usize,
    /// Width and height of the picture in the file, in pixels, as it is seen.
    pub size: [usize; 2],
}

impl Examined {
    /// Leaves images out of the data set. The groups are as they were found: two images that a third connects stay
    /// together when it goes.
    pub(crate) fn without(self, dropped: &[bool]) -> Self {
        Self { dropped: dropped.to_vec(), ..self }
    }

    /// Whether the image is left out.
    pub(crate) fn is_dropped(&self, index: usize) -> bool {
        self.dropped.get(index).copied().unwrap_or(false)
    }

    /// What was found of each image, also of those that are left out; none for those that cannot be decoded.
    pub(crate) fn found(&self) -> impl Iterator<Item = Option<&Image>> {
        self.images.iter().map(|image| image.as_ref().ok())
    }

    /// Width and height of an image's file; zero for one that cannot be decoded.
    pub(crate) fn size(&self, index: usize) -> [usize; 2] {
        self.images[index].as_ref().map_or([0; 2], |image| image.size)
    }

    /// Images of the data set whose pixels equal an earlier one's.
    pub(crate) fn exact(&self) -> usize {
        let mut seen = HashSet::new();
        let images = self.found().enumerate().filter(|(index, _)| !self.is_dropped(*index));
        images.filter_map(|(_, image)| image).filter(|image| !seen.insert(image.equal)).count()
    }

    /// Index and reason of each image that cannot be decoded and is not left out anyway.
    pub(crate) fn rejected(&self) -> impl Iterator<Item = (usize, &str)> {
        let images = self.images.iter().enumerate().filter(|(index, _)| !self.is_dropped(*index));
        images.filter_map(|(index, image)| Some((index, image.as_ref().err()?.as_str())))
    }

    /// What an earlier run found, if it was about the same `images` images.
    pub fn load(place: &ShardsDirectory, key: &str, images: usize) -> Option<Self> {
        let path = place.state(FILE);
        let examined: Self = sealed::read(&path)
            .map_err(|unsealed| unsealed.note_of_a_cache(&path, "the images are decoded again"))
            .ok()?;
        (examined.key == key && examined.is_possible(images)).then_some(examined)
    }

    /// Whether it says something of each image, and numbers the groups in the order of their first images.
    fn is_possible(&self, images: usize) -> bool {
        let mut groups = 0;
        let is_possible = |image: &Image| {
            groups += usize::from(image.group == groups);
            image.group < groups && image.size.iter().all(|side| (1..=MAX_SIDE).contains(&(*side as u64)))
        };
        self.images.iter().flatten().all(is_possible) && self.images.len() == images
    }
}
