//! Which images show the same picture.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use train::audit::evidence::ImageEvidence;

/// Who is a copy of whom, by row.
pub(super) struct Relatives<'a> {
    images: &'a [ImageEvidence],
    by_pixels: HashMap<&'a str, Vec<usize>>,
    by_content: HashMap<&'a str, Vec<usize>>,
    by_group: HashMap<usize, Vec<usize>>,
    /// Found by comparing pixels, both ways.
    copies: Vec<BTreeSet<usize>>,
}

impl<'a> Relatives<'a> {
    /// Collects them.
    pub(super) fn of(images: &'a [ImageEvidence]) -> Self {
        let mut copies = vec![BTreeSet::new(); images.len()];
        for (row, image) in images.iter().enumerate() {
            for &copy in image.copies.iter().filter(|&&copy| copy != row) {
                copies[row].insert(copy);
                copies[copy].insert(row);
            }
        }
        Self {
            images,
            by_pixels: rows_by(images, |image| image.pixels.as_str()),
            by_content: rows_by(images, |image| image.content.as_str()),
            by_group: rows_by(images, |image| image.group),
            copies,
        }
    }

    /// Rows with the same pixels or the same file as this one, in order.
    pub(super) fn equal(&self, row: usize) -> BTreeSet<usize> {
        let image = &self.images[row];
        let same = [self.by_pixels.get(image.pixels.as_str()), self.by_content.get(image.content.as_str())];
        same.into_iter().flatten().flatten().copied().filter(|&other| other != row).collect()
    }

    /// Rows that were found to be copies of this one by their pixels, and with `groups` those of its group.
    pub(super) fn near(&self, row: usize, groups: bool) -> BTreeSet<usize> {
        let grouped = self.grouped(row).iter().copied().filter(|&other| groups && other != row);
        self.copies[row].iter().copied().chain(grouped).collect()
    }

    /// Rows of its group, itself among them.
    fn grouped(&self, row: usize) -> &[usize] {
        self.by_group.get(&self.images[row].group).map_or(&[], Vec::as_slice)
    }

    /// The first row, equal ones before near-copies and those before its group, of which `wanted` holds.
    pub(super) fn first(&self, row: usize, wanted: impl Fn(&ImageEvidence) -> bool) -> Option<usize> {
        let is_wanted = |&other: &usize| other != row && wanted(&self.images[other]);
        let equal = || self.equal(row).into_iter().find(is_wanted);
        let copy = || self.copies[row].iter().copied().find(is_wanted);
        let grouped = || self.grouped(row).iter().copied().find(is_wanted);
        equal().or_else(copy).or_else(grouped)
    }

    /// Whether two rows have the same pixels or the same file.
    pub(super) fn are_equal(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.images[a], &self.images[b]);
        a.pixels == b.pixels || a.content == b.content
    }

    /// A number for each image, the same for all that are linked by copies, directly or through others, or share a
    /// group if `groups`.
    pub(super) fn families(&self, groups: bool) -> Vec<usize> {
        let mut families = Families((0..self.images.len()).collect());
        let same = self.by_pixels.values().chain(self.by_content.values());
        for rows in same.chain(self.by_group.values().filter(|_| groups)) {
            rows.iter().for_each(|&row| families.join(rows[0], row));
        }
        for (row, copies) in self.copies.iter().enumerate() {
            copies.iter().for_each(|&copy| families.join(row, copy));
        }
        (0..self.images.len()).map(|row| families.root(row)).collect()
    }

    /// How many images could be dropped because another one of their class and split shows the same picture.
    pub(super) fn redundant(&self, groups: bool) -> usize {
        let families = self.families(groups);
        let kinds = families.iter().zip(self.images).map(|(&family, image)| (family, image.label, image.split));
        self.images.len() - kinds.collect::<BTreeSet<_>>().len()
    }
}

fn rows_by<'a, K: Eq + std::hash::Hash>(
    images: &'a [ImageEvidence],
    key: impl Fn(&'a ImageEvidence) -> K,
) -> HashMap<K, Vec<usize>> {
    let mut rows: HashMap<K, Vec<usize>> = HashMap::new();
    for (row, image) in images.iter().enumerate() {
        rows.entry(key(image)).or_default().push(row);
    }
    rows
}

/// Disjoint sets (B. A. Galler and M. J. Fisher, CACM 7, 1964): of each row another one of its set, of one row itself.
struct Families(Vec<usize>);

impl Families {
    fn root(&mut self, row: usize) -> usize {
        let mut root = row;
        while self.0[root] != root {
            // Halving the path keeps the next search short.
            self.0[root] = self.0[self.0[root]];
            root = self.0[root];
        }
        root
    }

    /// The lower row is the root, so that the numbers do not depend on the order of joining.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Of each label, how many of these rows have it.
pub(super) fn labels(images: &[ImageEvidence], rows: impl IntoIterator<Item = usize>) -> BTreeMap<usize, usize> {
    let mut labels = BTreeMap::new();
    for row in rows {
        *labels.entry(images[row].label).or_default() += 1;
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{distinct, image};

    #[test]
    fn kinds_of_relatives() {
        let mut images = distinct((0..8).map(|row| image(row % 2, &[0.5, 0.5])).collect());
        images[2].pixels = images[0].pixels.clone();
        images[3].content = images[2].content.clone();
        images[4].copies = vec![5, 4];
        images[6].group = images[5].group;
        let relatives = Relatives::of(&images);
        assert_eq!(relatives.equal(2), BTreeSet::from([0, 3]));
        assert_eq!((relatives.near(5, true), relatives.near(5, false)), (BTreeSet::from([4, 6]), BTreeSet::from([4])));
        assert_eq!(relatives.families(true), [0, 1, 0, 0, 4, 4, 4, 7]);
        assert_eq!(relatives.families(false), [0, 1, 0, 0, 4, 4, 6, 7]);
        assert_eq!(relatives.first(5, |_| true), Some(4));
        assert_eq!(relatives.first(5, |image| image.path.ends_with("6.png")), Some(6));
        assert_eq!(relatives.first(7, |_| true), None);
        // 0 and 2 are of one class; so are 4 and 6, with the group.
        assert_eq!((relatives.redundant(true), relatives.redundant(false)), (2, 1));
        assert_eq!(labels(&images, [0, 1, 2]), BTreeMap::from([(0, 2), (1, 1)]));
    }
}
