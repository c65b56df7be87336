//! Confident learning: C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident Learning: Estimating Uncertainty in
//! Dataset Labels", JAIR 70, 2021. Which images a classifier that has not seen them is sure to belong to another class
//! than the one that they were given.

use train::audit::confident;
use train::audit::evidence::ImageEvidence;

/// The threshold of each class; see [`confident::thresholds`].
pub fn thresholds(images: &[ImageEvidence], classes: usize) -> Vec<Option<f64>> {
    confident::thresholds(images.iter().map(judged), classes)
}

/// The class that each image is counted to; see [`confident::confident_class`].
pub fn confident_classes(images: &[ImageEvidence], classes: usize) -> Vec<Option<usize>> {
    let thresholds = thresholds(images, classes);
    images.iter().map(|image| confident::confident_class(judged(image), &thresholds)).collect()
}

fn judged(image: &ImageEvidence) -> confident::Judged<'_> {
    (image.label, &image.label_probabilities)
}

/// Images by given class (row) and the class that they are counted to (column).
#[derive(Debug, Clone, PartialEq)]
pub struct ConfidentJoint {
    /// Images counted, `[classes, classes]`.
    pub counts: Vec<Vec<usize>>,
    /// Images given each class, counted or not.
    pub given: Vec<usize>,
}

impl ConfidentJoint {
    /// Counts images by what [`confident_classes`] says of them.
    pub fn of(images: &[ImageEvidence], counted: &[Option<usize>], classes: usize) -> Self {
        let (mut counts, mut given) = (vec![vec![0; classes]; classes], vec![0; classes]);
        for (image, counted) in images.iter().zip(counted) {
            given[image.label] += 1;
            if let Some(class) = *counted {
                counts[image.label][class] += 1;
            }
        }
        Self { counts, given }
    }

    /// The counts scaled so that each row sums to the images that were given its class. A row in which nothing was
    /// counted gives no reason to doubt its labels: all of it stands on the diagonal.
    pub fn calibrated(&self) -> Vec<Vec<f64>> {
        let rows = self.counts.iter().zip(&self.given).enumerate();
        rows.map(|(label, (row, &given))| {
            let counted: usize = row.iter().sum();
            let scaled = |(class, &count): (usize, &usize)| match counted {
                0 => {
                    if class == label {
                        given as f64
                    } else {
                        0.0
                    }
                }
                _ => count as f64 * given as f64 / counted as f64,
            };
            row.iter().enumerate().map(scaled).collect()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::image;
    use proptest::prelude::*;

    /// The definition, class by class and image by image, without tolerance or order of search.
    fn reference(images: &[(usize, Vec<f32>)], classes: usize) -> Vec<Vec<usize>> {
        let mut joint = vec![vec![0; classes]; classes];
        let mean = |class: usize| {
            let own: Vec<f64> = images.iter().filter(|(l, _)| *l == class).map(|(_, p)| f64::from(p[class])).collect();
            own.iter().sum::<f64>() / own.len() as f64
        };
        for (label, p) in images {
            // NaN thresholds of empty classes compare false.
            let sure: Vec<usize> = (0..classes).filter(|&class| f64::from(p[class]) >= mean(class)).collect();
            if let Some(&class) = sure.iter().max_by(|&&a, &&b| p[a].total_cmp(&p[b])) {
                joint[*label][class] += 1;
            }
        }
        joint
    }

    proptest! {
        #[test]
        fn the_joint_is_the_definitions(
            rows in proptest::collection::vec((0usize..4, proptest::collection::vec(0.01f32..1.0, 4)), 1..40)
        ) {
            let rows: Vec<(usize, Vec<f32>)> = rows.into_iter().map(|(label, p)| {
                let total: f32 = p.iter().sum();
                (label, p.iter().map(|p| p / total).collect())
            }).collect();
            let images: Vec<_> = rows.iter().map(|(label, p)| image(*label, p)).collect();
            // What lies upon a threshold, or is as probable as another class, is a matter of rounding.
            let limits = thresholds(&images, 4);
            let is_clear = |p: &[f32]| (0..4).all(|class| {
                let value = f64::from(p[class]);
                limits[class].is_none_or(|limit| (value - limit).abs() > 1e-5)
                    && (0..class).all(|other| (f64::from(p[other]) - value).abs() > 1e-5)
            });
            prop_assume!(rows.iter().all(|(_, p)| is_clear(p)));
            let joint = ConfidentJoint::of(&images, &confident_classes(&images, 4), 4);
            prop_assert_eq!(&joint.counts, &reference(&rows, 4));
            for (row, &given) in joint.calibrated().iter().zip(&joint.given) {
                prop_assert!((row.iter().sum::<f64>() - given as f64).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn by_hand() {
        // Thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 (0.7 + 0.6) / 2 = 0.65.
        let rows: [(usize, &[f32]); 5] =
            [(0, &[0.9, 0.1]), (0, &[0.8, 0.2]), (0, &[0.1, 0.9]), (1, &[0.3, 0.7]), (1, &[0.4, 0.6])];
        let images: Vec<_> = rows.iter().map(|(label, p)| image(*label, p)).collect();
        let thresholds: Vec<f64> = thresholds(&images, 2).into_iter().flatten().collect();
        assert!((thresholds[0] - 0.6).abs() < 1e-6 && (thresholds[1] - 0.65).abs() < 1e-6, "{thresholds:?}");
        let counted = confident_classes(&images, 2);
        assert_eq!(counted, [Some(0), Some(0), Some(1), Some(1), None]);
        let joint = ConfidentJoint::of(&images, &counted, 2);
        assert_eq!(joint.counts, [[2, 1], [0, 1]]);
        assert_eq!(joint.calibrated(), [[2.0, 1.0], [0.0, 2.0]]);
    }

    type Rows = &'static [(usize, &'static [f32])];

    #[test]
    fn edges() {
        let cases: [(&str, Rows, &[Option<usize>]); 5] = [
            ("none at all", &[], &[]),
            (
                "a class without images attracts none",
                &[(0, &[0.2, 0.1, 0.7]), (1, &[0.1, 0.6, 0.3])],
                &[Some(0), Some(1)],
            ),
            ("all alike: the given class", &[(0, &[0.5, 0.5]), (1, &[0.5, 0.5])], &[Some(0), Some(1)]),
            ("no threshold met", &[(0, &[0.9, 0.1]), (0, &[0.5, 0.5]), (1, &[0.2, 0.8])], &[Some(0), None, Some(1)]),
            (
                "ties between others: the first",
                &[(0, &[0.8, 0.1, 0.1]), (0, &[0.0, 0.5, 0.5]), (1, &[0.5, 0.5, 0.0]), (2, &[0.5, 0.0, 0.5])],
                &[Some(0), Some(1), Some(1), Some(2)],
            ),
        ];
        for (name, rows, expected) in cases {
            let images: Vec<_> = rows.iter().map(|(label, p)| image(*label, p)).collect();
            let classes = rows.first().map_or(2, |(_, p)| p.len());
            let counted = confident_classes(&images, classes);
            assert_eq!(counted, expected, "{name}");
            let calibrated = ConfidentJoint::of(&images, &counted, classes).calibrated();
            assert!(calibrated.iter().flatten().all(|cell| cell.is_finite()), "{name}: {calibrated:?}");
        }
    }
}
