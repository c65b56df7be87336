//! Confident learning (Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 2021):
//! which class an image is confidently of, whatever its label says.
//!
//! ```text
//! t_j = mean of p_j over the images labelled j          the class of an image: argmax of p_j over all j with p_j ≥ t_j
//! ```

/// The threshold of each class: its mean probability over the images that are labelled as it. Of a class without images
/// it is infinite: nothing is confidently of it.
pub fn thresholds(probabilities: &[&[f32]], labels: &[usize], classes: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0usize); classes];
    for (&label, said) in labels.iter().zip(probabilities) {
        sums[label].0 += f64::from(said[label]);
        sums[label].1 += 1;
    }
    sums.into_iter().map(|(sum, images)| if images > 0 { sum / images as f64 } else { f64::INFINITY }).collect()
}

/// The class that an image is confidently of: the most probable one of those that reach their threshold, the first of
/// equally probable ones; none where none does.
pub fn confident_class(probabilities: &[f32], thresholds: &[f64]) -> Option<usize> {
    let reached = probabilities.iter().zip(thresholds).enumerate();
    let reached = reached.filter(|(_, (said, threshold))| f64::from(**said) >= **threshold);
    let mut best: Option<(usize, f32)> = None;
    for (class, (&said, _)) in reached {
        if best.is_none_or(|(_, most)| said > most) {
            best = Some((class, said));
        }
    }
    best.map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_confident_if_it_reaches_what_its_own_images_have_on_the_mean() {
        let said: [&[f32]; 4] = [&[0.9, 0.1, 0.0], &[0.5, 0.5, 0.0], &[0.2, 0.8, 0.0], &[0.6, 0.4, 0.0]];
        let thresholds = thresholds(&said, &[0, 0, 1, 1], 3);
        assert!((thresholds[0] - 0.7).abs() < 1e-6 && (thresholds[1] - 0.6).abs() < 1e-6, "{thresholds:?}");
        assert!(thresholds[2].is_infinite());
        let classes = said.map(|said| confident_class(said, &thresholds));
        assert_eq!(classes, [Some(0), None, Some(1), None]);
        assert_eq!(confident_class(&[0.5, 0.5], &[0.3, 0.3]), Some(0), "of equal ones the first");
        assert_eq!(confident_class(&[0.4, 0.6], &[0.3, 0.9]), Some(0), "the most probable has not reached its own");
    }
}
