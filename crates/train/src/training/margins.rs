//! How far each training image was on the right side while the network learnt: the area under the margin (Pleiss et al.:
//! Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS 2020).
//!
//! ```text
//! margin[n] = z[n, label] - max of z[n, k] over all k ≠ label          AUM[n] = mean of the margins of image n over all epochs
//! ```
//! A wrong label is learnt late and against the images that it is like, so its margins are low or below zero while
//! others grow. Images that are mixed with others have no margin of their own and are not counted.

use crate::tensor::arrays::Array;

/// The margins of the training images, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Margins {
    /// Sum and number of each.
    sums: Vec<[f32; 2]>,
}

impl Margins {
    /// Of so many images, none of which has been seen.
    pub(crate) fn new(images: usize) -> Self {
        Self { sums: vec![[0.0; 2]; images] }
    }

    /// Counts the images of a batch, by their places; those that were mixed have none.
    pub(crate) fn add(&mut self, images: &[usize], margins: &[Option<f32>]) {
        for (&image, margin) in images.iter().zip(margins) {
            if let (Some([sum, count]), Some(margin)) = (self.sums.get_mut(image), margin) {
                *sum += margin;
                *count += 1.0;
            }
        }
    }

    /// Mean margin of each image and how often it was seen; none of those that never were.
    pub(crate) fn means(&self) -> impl Iterator<Item = Option<(f32, usize)>> {
        self.sums.iter().map(|&[sum, count]| (count > 0.0).then(|| (sum / count, count as usize)))
    }

    /// As a checkpoint keeps them.
    pub(crate) fn to_array(&self) -> Array {
        let values = self.sums.iter().flatten().copied().collect();
        Array { name: NAME.into(), shape: vec![self.sums.len(), 2], values }
    }

    /// From a checkpoint; none if they are of another number of images.
    pub(crate) fn from_array(array: &Array, images: usize) -> Option<Self> {
        let is_theirs = array.name == NAME && array.shape == [images, 2] && array.values.len() == 2 * images;
        is_theirs.then(|| Self { sums: array.values.as_chunks::<2>().0.to_vec() })
    }
}

/// Of the array in a checkpoint.
const NAME: &str = "sums";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_means_over_what_was_not_mixed() {
        let mut margins = Margins::new(3);
        margins.add(&[2, 0], &[Some(1.0), Some(-4.0)]);
        margins.add(&[0, 2], &[None, Some(2.0)]);
        let means: Vec<_> = margins.means().collect();
        assert_eq!(means, [Some((-4.0, 1)), None, Some((1.5, 2))]);
        let array = margins.to_array();
        assert_eq!(Margins::from_array(&array, 3), Some(margins));
        assert_eq!(Margins::from_array(&array, 2), None);
    }
}
