//! The cross-entropy of a softmax and its gradient, in one go: with label smoothing (Szegedy et al. 2016), images that
//! are mixed of two classes (Zhang et al. 2018), weights of classes, and logits adjusted by the classes' frequencies
//! (Menon et al. 2021).
//!
//! ```text
//! p[n,k] = exp(z[n,k] + o[k]) / Σ_j exp(z[n,j] + o[j])                                              z [n, classes]
//! t[n,k] = s / K + (1 - s) · (λ[n] · [k = label[n]] + (1 - λ[n]) · [k = other[n]])
//! w[n]   = λ[n] · W[label[n]] + (1 - λ[n]) · W[other[n]]
//! dz[n,k] = w[n] (p[n,k] - t[n,k]) / n
//! loss[n] = -ln softmax(z[n])[label[n]]
//! ```
//! `dz` is the gradient of the mean over the images of `-w Σ_k t ln p`: s the smoothing, λ the label's share (1 where
//! nothing is mixed), W the classes' weights (1), o what is added to logits while training (0). The loss is that against
//! the label itself by the logits as they are, which the history shows whatever the targets. On the CPU dfdx's loss
//! computes all this; on a GPU that would be some twenty launches, and one kernel of ours takes their place.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub(crate) mod logits;
pub mod reference;

#[cfg(feature = "cuda")]
pub use cuda::gradient;

use crate::tensor::failure::device_error;
use crate::tensor::feature_map::{FeatureMap, to_matrix};
use crate::tensor::pass::Pass;
use crate::tensor::pending::PendingKernel;
use dfdx::losses::cross_entropy_with_logits_loss;
use dfdx::shapes::Rank0;
use dfdx::tensor::{OwnedTape, PutTape, Tensor};
use dfdx::tensor_ops::TryAdd;
use preprocess::{Error, Result};

/// A loss with the tape of all that led to it.
pub(crate) type Loss<B> = Tensor<Rank0, f32, B, OwnedTape<f32, B>>;

/// What the logits of one image say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageScore {
    /// Against its label, in nats.
    pub loss: f64,
    /// The class of its largest logit, the first of equals.
    pub prediction: usize,
    /// The label's logit less the largest other one; 0 of a single class.
    pub margin: f32,
}

impl ImageScore {
    /// Of one image's logits.
    pub(crate) fn of(logits: &[f32], label: usize) -> Self {
        Self {
            loss: logits::cross_entropy(logits, label),
            prediction: logits::most_probable(logits),
            margin: logits::margin(logits, label),
        }
    }
}

/// What the images of a batch are to be taken for while training.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// Each image's class; of a mixed one that with the larger share.
    pub labels: &'a [usize],
    /// What part of the target probability is spread evenly over all classes.
    pub smoothing: f64,
    /// Of mixed images: each one's other class, and the share of its label.
    pub mixed: Option<(&'a [usize], &'a [f32])>,
    /// How much an image of each class counts.
    pub weights: Option<&'a [f32]>,
    /// What is added to each class' logit.
    pub offsets: Option<&'a [f32]>,
}

impl<'a> Targets<'a> {
    /// Labels and nothing else.
    pub fn new(labels: &'a [usize], smoothing: f64) -> Self {
        Self { labels, smoothing, mixed: None, weights: None, offsets: None }
    }

    /// Whether smoothed labels are all.
    #[cfg(any(feature = "cuda", test))]
    fn is_plain(&self) -> bool {
        self.mixed.is_none() && self.weights.is_none() && self.offsets.is_none()
    }

    /// Whether they are those of `[n, classes]` logits.
    fn fit(&self, [n, classes]: [usize; 2]) -> bool {
        let of_classes = |values: Option<&[f32]>| values.is_none_or(|values| values.len() == classes);
        let labels = |labels: &[usize]| labels.len() == n && labels.iter().all(|&label| label < classes);
        let mixed = self.mixed.is_none_or(|(others, shares)| labels(others) && shares.len() == n);
        labels(self.labels) && mixed && of_classes(self.weights) && of_classes(self.offsets)
    }

    /// Of an image: its other class, the share of its label, and how much it counts.
    pub(crate) fn of(&self, image: usize) -> (usize, f64, f64) {
        let label = self.labels[image];
        let (other, share) =
            self.mixed.map_or((label, 1.0), |(others, shares)| (others[image], f64::from(shares[image])));
        let weight = |class: usize| self.weights.map_or(1.0, |weights| f64::from(weights[class]));
        (other, share, share * weight(label) + (1.0 - share) * weight(other))
    }

    /// Target probabilities times the images' weights, `[images, classes]`.
    fn weighted(&self, classes: usize) -> Vec<f32> {
        let even = self.smoothing / classes as f64;
        let mut targets = Vec::with_capacity(self.labels.len() * classes);
        for (image, &label) in self.labels.iter().enumerate() {
            let (other, share, weight) = self.of(image);
            targets.extend((0..classes).map(|class| {
                let of = |is: bool, share: f64| if is { (1.0 - self.smoothing) * share } else { 0.0 };
                (weight * (even + of(class == label, share) + of(class == other, 1.0 - share))) as f32
            }));
        }
        targets
    }
}

/// Kernels of the loss.
pub trait CrossEntropyKernel: PendingKernel {
    /// `dz` of logits `[n, classes]`, and of each image its loss, the class of its largest logit and its margin
    /// `[n, 3]`; none from a device that leaves the loss to dfdx.
    #[allow(clippy::type_complexity)]
    fn cross_entropy_gradient(
        &self,
        pool: &Self::Pool,
        shape: [usize; 2],
        logits: &Self::Buffer,
        targets: &Targets<'_>,
    ) -> Result<Option<(Self::Buffer, Self::Buffer)>, Self::Err>;
}

/// What the loss knows of each image, still on the device.
#[derive(Debug)]
pub struct Scores<B: CrossEntropyKernel> {
    n: usize,
    /// `[n, 3]` of a device whose kernel computes the loss.
    computed: Option<B::Buffer>,
    logits: FeatureMap<B>,
}

impl<B: CrossEntropyKernel> Scores<B> {
    /// Brings them to the host, which waits for the device; computes them from the logits where no kernel has.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn read(&self, labels: &[usize], device: &B) -> Result<Vec<ImageScore>> {
        let Some(computed) = &self.computed else {
            let logits = self.logits.to_nchw(device)?;
            let classes = (logits.len() / self.n.max(1)).max(1);
            let score = |(row, &label)| ImageScore::of(row, label);
            return Ok(logits.chunks_exact(classes).zip(labels).map(score).collect());
        };
        let rows = device.download([self.n, 3, 1, 1], computed).map_err(device_error("download losses"))?;
        let score = |&[loss, class, margin]: &[f32; 3]| ImageScore {
            loss: f64::from(loss),
            prediction: class as usize,
            margin,
        };
        Ok(rows.as_chunks::<3>().0.iter().map(score).collect())
    }
}

/// The mean cross-entropy of logits `[n, classes, 1, 1]` against targets, with the pass' tape: to go backward
/// from; and what it knows of each image. The loss' value is dfdx's, or zero from a device whose kernel computes the
/// gradient and the scores alone.
///
/// # Errors
/// Logits and labels that do not fit each other, or a failure of the device.
pub fn cross_entropy<B: CrossEntropyKernel>(
    logits: &FeatureMap<B>,
    targets: &Targets<'_>,
    pass: &mut Pass<B>,
) -> Result<(Loss<B>, Scores<B>)> {
    const OP: &str = "cross-entropy";
    let sizes @ [n, classes] = logits.flat_shape(OP)?;
    if !targets.fit(sizes) {
        let labels = targets.labels.len();
        return Err(Error::new(format!("logits of {n} images and {classes} classes have {labels} labels, or others")));
    }
    let data = logits.activations(OP, pass)?;
    let computed = pass.forward(OP, |device| device.cross_entropy_gradient(pass.pool(), sizes, &data, targets))?;
    let device = pass.device().clone();
    let Some((gradient, scores)) = computed else {
        let upload =
            |values| device.try_tensor_from_vec(values, (n, classes)).map_err(device_error("upload what is a target"));
        let mut matrix = to_matrix(logits, pass)?.put_tape(pass.take_tape());
        if let Some(offsets) = targets.offsets {
            matrix = matrix.try_add(upload(offsets.repeat(n))?).map_err(device_error(OP))?;
        }
        let loss = cross_entropy_with_logits_loss(matrix, upload(targets.weighted(classes))?);
        return Ok((loss, Scores { n, computed: None, logits: logits.clone() }));
    };
    if let Some(cell) = logits.gradient.clone() {
        let shape = logits.shape();
        pass.on_backward(OP, move |device, pool, _| cell.add(device, pool, shape, gradient));
    }
    let zero: Tensor<Rank0, f32, B> = device.try_zeros().map_err(device_error(OP))?;
    let scores = Scores { n, computed: Some(scores), logits: logits.clone() };
    Ok((zero.put_tape(pass.take_tape()), scores))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_probabilities_times_weights() {
        assert_eq!(Targets::new(&[1, 0], 0.0).weighted(2), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(Targets::new(&[3], 0.5).weighted(4), [0.125, 0.125, 0.125, 0.625]);
        let mixed = Targets { mixed: Some((&[1, 0], &[0.75, 1.0])), ..Targets::new(&[0, 1], 0.0) };
        assert_eq!(mixed.weighted(2), [0.75, 0.25, 0.0, 1.0]);
        let weighted = Targets { weights: Some(&[2.0, 0.5]), ..mixed };
        let weight = 0.75 * 2.0 + 0.25 * 0.5;
        assert_eq!(weighted.weighted(2), [0.75 * weight, 0.25 * weight, 0.0, 0.5]);
    }

    #[test]
    fn targets_of_other_logits_do_not_fit() {
        let plain = Targets::new(&[0, 1], 0.0);
        assert!(plain.fit([2, 2]) && plain.is_plain());
        for (name, targets) in [
            ("labels", Targets::new(&[0], 0.0)),
            ("classes", Targets::new(&[0, 2], 0.0)),
            ("others", Targets { mixed: Some((&[0, 2], &[1.0, 1.0])), ..plain }),
            ("shares", Targets { mixed: Some((&[0, 1], &[1.0])), ..plain }),
            ("weights", Targets { weights: Some(&[1.0]), ..plain }),
            ("offsets", Targets { offsets: Some(&[1.0; 3]), ..plain }),
        ] {
            assert!(!targets.fit([2, 2]), "{name}");
        }
    }
}
