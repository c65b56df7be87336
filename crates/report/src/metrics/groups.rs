//! Images that belong together (near-copies of one picture, images of one patient) say less than as many independent
//! ones: whatever measures noise counts groups, not images.

use super::quantiles::{Z, student};
use std::collections::HashMap;

/// Which images form a group. Most groups have one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Of each image, the number of its group.
    of: Vec<usize>,
    /// Of each group, its images.
    sizes: Vec<usize>,
}

impl Groups {
    /// From a key of each image; equal keys are one group. Groups are numbered in the order in which they come.
    pub(crate) fn new(keys: impl IntoIterator<Item = usize>) -> Self {
        let mut numbers = HashMap::new();
        let mut sizes = Vec::new();
        let number = |key| {
            let group = *numbers.entry(key).or_insert(sizes.len());
            if group == sizes.len() {
                sizes.push(0);
            }
            sizes[group] += 1;
            group
        };
        Self { of: keys.into_iter().map(number).collect(), sizes }
    }

    /// Every image a group of its own.
    pub fn singles(images: usize) -> Self {
        Self { of: (0..images).collect(), sizes: vec![1; images] }
    }

    /// Number of images.
    pub(crate) fn images(&self) -> usize {
        self.of.len()
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there are no images.
    pub(crate) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Whether no two images belong together.
    pub(crate) fn all_single(&self) -> bool {
        self.len() == self.images()
    }

    /// The images of each group.
    pub(crate) fn members(&self) -> Vec<Vec<usize>> {
        let mut members: Vec<Vec<usize>> = self.sizes.iter().map(|&size| Vec::with_capacity(size)).collect();
        for (image, &group) in self.of.iter().enumerate() {
            members[group].push(image);
        }
        members
    }

    /// The sum of an image's value over each group.
    pub(crate) fn sums(&self, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut sums = vec![0.0; self.len()];
        for (&group, value) in self.of.iter().zip(values) {
            sums[group] += value;
        }
        sums
    }

    /// The sum over the groups of (sum of the group's deviations from `mean`)²: from single images, n times their
    /// variance.
    pub(crate) fn scatter(&self, values: impl IntoIterator<Item = f64>, mean: f64) -> f64 {
        self.sums(values.into_iter().map(|value| value - mean)).iter().map(|sum| sum * sum).sum()
    }

    /// The size of the group that an image finds itself in, on average: Σ size² / Σ size. 1 without images.
    pub(crate) fn mean_size(&self) -> f64 {
        let squares: usize = self.sizes.iter().map(|size| size * size).sum();
        if self.is_empty() { 1.0 } else { squares as f64 / self.images() as f64 }
    }

    /// How many standard errors a 95 % interval reaches to either side: the normal quantile for single images,
    /// Student's with a degree of freedom less than there are groups otherwise.
    pub(crate) fn critical(&self) -> f64 {
        if self.all_single() { Z } else { student(self.len().saturating_sub(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_groups() {
        let groups = Groups::new([7, 3, 7, 900, 3, 7]);
        assert_eq!((groups.images(), groups.len(), groups.all_single()), (6, 3, false));
        assert_eq!(groups.members(), [vec![0, 2, 5], vec![1, 4], vec![3]]);
        assert_eq!(groups.sums([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), [10.0, 7.0, 4.0]);
        assert_eq!(groups.mean_size(), (9.0 + 4.0 + 1.0) / 6.0);
        assert_eq!(Groups::new([5, 6, 9]), Groups::singles(3));
    }

    #[test]
    fn scatter_is_the_variance_of_single_images_and_more_of_copies() {
        let values = [1.0, 1.0, 4.0, 4.0];
        assert_eq!(Groups::singles(4).scatter(values, 2.5), 9.0);
        assert_eq!(Groups::new([0, 0, 1, 1]).scatter(values, 2.5), 18.0);
        assert_eq!(Groups::new([0, 1, 0, 1]).scatter(values, 2.5), 0.0);
    }
}
