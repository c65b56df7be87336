//! What decoding said of each image, kept from run to run.

use super::directory::ShardsDirectory;
use crate::duplicates::Kind;
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
    /// For each image its group, or why it could not be decoded.
    pub(super) images: Vec<Result<usize, String>>,
    /// By what each image hangs together with its group; none for one that stands alone or cannot be decoded.
    pub(super) kinds: Vec<Option<Kind>>,
    /// For each image a number that it shares with the images of equal pixels; none for those that cannot be decoded.
    pub(super) equal: Vec<Option<usize>>,
    /// The limit on the hash's distance that was used.
    pub max_distance: u32,
    /// [`Self::images`] without the reasons.
    #[serde(skip)]
    pub(super) group: Vec<Option<usize>>,
    /// For each image, whether it is left out of the data set.
    #[serde(skip)]
    pub(super) dropped: Vec<bool>,
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

    /// Images of the data set whose pixels equal an earlier one's.
    pub(crate) fn exact(&self) -> usize {
        let equal = self.equal.iter().enumerate().filter(|(index, _)| !self.is_dropped(*index));
        let mut seen = HashSet::new();
        equal.filter_map(|(_, equal)| *equal).filter(|equal| !seen.insert(*equal)).count()
    }

    /// Index and group of each image that can be decoded, also of those that are left out.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (usize, usize)> {
        self.group.iter().enumerate().filter_map(|(index, group)| group.map(|group| (index, group)))
    }

    /// The group of each image; none for those that cannot be decoded.
    pub(crate) fn group_of_each(&self) -> &[Option<usize>] {
        &self.group
    }

    /// By what each image hangs together with its group.
    pub(crate) fn kinds(&self) -> &[Option<Kind>] {
        &self.kinds
    }

    /// Index and reason of each image that cannot be decoded and is not left out anyway.
    pub(crate) fn rejected(&self) -> impl Iterator<Item = (usize, &str)> {
        let images = self.images.iter().enumerate().filter(|(index, _)| !self.is_dropped(*index));
        images.filter_map(|(index, image)| Some((index, image.as_ref().err()?.as_str())))
    }

    pub(crate) fn with_groups(mut self) -> Self {
        self.group = self.images.iter().map(|image| image.as_ref().ok().copied()).collect();
        self
    }

    /// What an earlier run found, if it was about the same `images` images.
    pub fn load(place: &ShardsDirectory, key: &str, images: usize) -> Option<Self> {
        let path = place.state(FILE);
        let examined: Self = sealed::read(&path)
            .map_err(|unsealed| unsealed.note_of_a_cache(&path, "the images are decoded again"))
            .ok()?;
        (examined.key == key && examined.is_possible(images)).then(|| examined.with_groups())
    }

    /// Whether it says something of each image, and numbers the groups in the order of their first images.
    fn is_possible(&self, images: usize) -> bool {
        let mut groups = 0;
        let numbered = self.images.iter().flatten().all(|&group| {
            groups += usize::from(group == groups);
            group < groups
        });
        numbered && [self.images.len(), self.kinds.len(), self.equal.len()] == [images; 3]
    }
}
