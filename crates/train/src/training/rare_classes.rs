//! What makes up for classes of which there are few images: weights in the loss, or logits adjusted by frequency.

use crate::ops::cross_entropy::Targets;
use crate::ops::cross_entropy::logits::cross_entropy;
use preprocess::pipeline::{ClassWeights, ModelSettings};
use preprocess::stage::names;
use preprocess::{Error, Result};

/// β of the effective number of samples (Cui et al. 2019): of their choices the one for sets of some thousands.
const EFFECTIVE_BETA: f64 = 0.999;

/// What the loss knows of the classes' sizes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RareClasses {
    /// How much an image of each class counts: 1 in the mean over the training images.
    pub weights: Option<Vec<f32>>,
    /// What is added to each class' logit.
    pub offsets: Option<Vec<f32>>,
}

impl RareClasses {
    /// Of classes with so many training images.
    ///
    /// # Errors
    /// Weights are given for a class that there is not.
    pub(crate) fn new(settings: &ModelSettings, classes: &[String], images: &[usize]) -> Result<Self> {
        let all: usize = images.iter().sum();
        // A class without an image to train on counts as if it had one: its logarithm must be a number.
        let images = || images.iter().map(|&images| images.max(1) as f64);
        let relative: Option<Vec<f64>> = match &settings.class_weights {
            None => None,
            Some(ClassWeights::Balanced) => Some(images().map(f64::recip).collect()),
            Some(ClassWeights::Effective) => {
                Some(images().map(|images| (1.0 - EFFECTIVE_BETA) / (1.0 - EFFECTIVE_BETA.powf(images))).collect())
            }
            Some(ClassWeights::Given(given)) => {
                if let Some(unknown) = given.keys().find(|class| !classes.contains(class)) {
                    return Err(no_such_class(unknown, classes));
                }
                Some(classes.iter().map(|class| given.get(class).copied().unwrap_or(1.0)).collect())
            }
        };
        let weights = relative.map(|relative| {
            let sum: f64 = relative.iter().zip(images()).map(|(weight, images)| weight * images).sum();
            let mean = sum / images().sum::<f64>();
            relative.iter().map(|weight| (weight / mean) as f32).collect()
        });
        let tau = settings.logit_adjustment;
        let offset = |images: f64| (tau * (images / all.max(1) as f64).ln()) as f32;
        let offsets = (tau > 0.0).then(|| images().map(offset).collect());
        Ok(Self { weights, offsets })
    }

    /// What a batch with these labels is to be taken for.
    pub(crate) fn targets<'a>(&'a self, labels: &'a [usize], smoothing: f64) -> Targets<'a> {
        let (weights, offsets) = (self.weights.as_deref(), self.offsets.as_deref());
        Targets { weights, offsets, ..Targets::new(labels, smoothing) }
    }

    /// The sum over images of the loss that is trained for, from logits `[images, classes]`.
    pub(crate) fn loss_sum(&self, logits: &[f32], labels: &[usize]) -> f64 {
        let classes = logits.len() / labels.len().max(1);
        let of_image = |(row, &label): (&[f32], &usize)| {
            let weight = self.weights.as_ref().map_or(1.0, |weights| f64::from(weights[label]));
            let loss = match &self.offsets {
                Some(offsets) => {
                    let adjusted: Vec<f32> = row.iter().zip(offsets).map(|(logit, offset)| logit + offset).collect();
                    cross_entropy(&adjusted, label)
                }
                None => cross_entropy(row, label),
            };
            weight * loss
        };
        logits.chunks_exact(classes.max(1)).zip(labels).map(of_image).sum()
    }
}

fn no_such_class(unknown: &str, classes: &[String]) -> Error {
    let known: Vec<String> = classes.iter().map(|class| format!("`{}`", names::shown(class))).collect();
    Error::new(format!(
        "`class_weights` has a weight for `{}`, which is no class of the data set",
        names::shown(unknown)
    ))
    .hint(format!("its classes are: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use preprocess::pipeline::Architecture;

    fn rare(edit: impl FnOnce(&mut ModelSettings), images: &[usize]) -> Result<RareClasses> {
        let mut settings = ModelSettings::new(Architecture::Resnet);
        edit(&mut settings);
        RareClasses::new(&settings, &["cat".to_owned(), "dog".to_owned()], images)
    }

    #[test]
    fn weights_are_one_in_the_mean_over_the_images() {
        let given = |weight| ClassWeights::Given([("dog".to_owned(), weight)].into_iter().collect());
        for (weights, images, expected) in [
            (ClassWeights::Balanced, [90, 10], [50.0 / 90.0, 5.0]),
            (ClassWeights::Balanced, [50, 50], [1.0, 1.0]),
            (ClassWeights::Balanced, [10, 0], [0.55, 5.5]),
            // 1 / (1 - 0.999^1000) = 1.58150, 1 / (1 - 0.999^100) = 10.50333; their mean over 1,100 images is 2.39258.
            (ClassWeights::Effective, [1000, 100], [0.661006, 4.389942]),
            (given(3.0), [75, 25], [1.0 / 1.5, 3.0 / 1.5]),
        ] {
            let rare = rare(|settings| settings.class_weights = Some(weights.clone()), &images).unwrap();
            let found = rare.weights.unwrap();
            let mean: f64 = found.iter().zip(images).map(|(w, n)| f64::from(*w) * n.max(1) as f64).sum::<f64>()
                / images.iter().map(|&n| n.max(1) as f64).sum::<f64>();
            assert!((mean - 1.0).abs() < 1e-6, "{weights:?}: a mean of {mean}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{weights:?} of {images:?}: {found}");
            }
        }
    }

    #[test]
    fn an_adjustment_is_the_logarithm_of_the_share() {
        let rare = rare(|settings| settings.logit_adjustment = 2.0, &[75, 25]).unwrap();
        let expected = [2.0 * 0.75f32.ln(), 2.0 * 0.25f32.ln()];
        assert!(rare.offsets.iter().flatten().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6));
        assert!(rare.weights.is_none());
        // The frequent class has a head start while training, so that its logit need not be larger.
        let (frequent, seldom) = (rare.loss_sum(&[0.0, 0.0], &[0]), rare.loss_sum(&[0.0, 0.0], &[1]));
        assert!(frequent < (2.0f64).ln() && seldom > (2.0f64).ln());
    }

    #[test]
    fn a_class_that_is_not_there_is_refused() {
        let weights = ClassWeights::Given([("bird".to_owned(), 1.0)].into_iter().collect());
        let error = rare(|settings| settings.class_weights = Some(weights), &[1, 1]).unwrap_err().to_string();
        assert!(error.contains("`bird`") && error.contains("`cat`, `dog`"), "{error}");
    }
}
