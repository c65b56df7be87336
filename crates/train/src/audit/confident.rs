//! Confident learning: C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident Learning: Estimating Uncertainty in
//! Dataset Labels", JAIR 70, 2021. Which class an image is confidently of, whatever its label says.

/// Probabilities are 32-bit: what differs by less than this is the same.
const ROUNDING: f64 = 1e-6;

/// An image's label, and the probability of every class.
pub type Judged<'a> = (usize, &'a [f32]);

/// How sure a classifier is of a class where that class was given: the mean of its probability over the images that are
/// labelled so. None for a class without images, of which nothing can be said.
pub fn thresholds<'a>(images: impl IntoIterator<Item = Judged<'a>>, classes: usize) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0usize); classes];
    for (label, probabilities) in images {
        let (sum, number) = &mut sums[label];
        *sum += f64::from(probabilities[label]);
        *number += 1;
    }
    sums.into_iter().map(|(sum, number)| (number > 0).then(|| sum / number as f64)).collect()
}

/// The class that an image is counted to: the most probable among those whose probability reaches their threshold; none
/// where no class does. Of equally probable ones the given class, or else the first.
pub fn confident_class((label, probabilities): Judged<'_>, thresholds: &[Option<f64>]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (class, threshold) in thresholds.iter().enumerate() {
        let probability = f64::from(probabilities[class]);
        if threshold.is_none_or(|threshold| probability < threshold - ROUNDING) {
            continue;
        }
        let is_better = best.is_none_or(|(_, highest)| {
            if class == label { probability >= highest - ROUNDING } else { probability > highest + ROUNDING }
        });
        if is_better {
            best = Some((class, probability));
        }
    }
    best.map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_confident_if_it_reaches_what_its_own_images_have_on_the_mean() {
        let images: [Judged<'_>; 4] =
            [(0, &[0.9, 0.1, 0.0]), (0, &[0.5, 0.5, 0.0]), (1, &[0.2, 0.8, 0.0]), (1, &[0.6, 0.4, 0.0])];
        let thresholds = thresholds(images, 3);
        let known: Vec<f64> = thresholds.iter().flatten().copied().collect();
        assert!((known[0] - 0.7).abs() < 1e-6 && (known[1] - 0.6).abs() < 1e-6, "{thresholds:?}");
        assert_eq!(thresholds[2], None, "of a class without images nothing is known");
        assert_eq!(images.map(|image| confident_class(image, &thresholds)), [Some(0), None, Some(1), None]);
        let low = [Some(0.3), Some(0.3)];
        assert_eq!(
            [0, 1].map(|label| confident_class((label, &[0.5, 0.5]), &low)),
            [Some(0), Some(1)],
            "of equals its own"
        );
        assert_eq!(
            confident_class((1, &[0.4, 0.6]), &[Some(0.3), Some(0.9)]),
            Some(0),
            "the other has not reached its own"
        );
    }
}
