//! The cross-entropy of a softmax with label smoothing (Szegedy et al. 2016), and its gradient, in one go.
//!
//! ```text
//! p[n,k] = exp(z[n,k]) / Σ_j exp(z[n,j])       t[n,k] = s / K + (1 - s) · [k = label[n]]        z [n, classes]
//! dz[n,k] = (p[n,k] - t[n,k]) / n              loss[n] = -ln p[n,label[n]]
//! ```
//! `dz` is the gradient of the mean over the images of `-Σ_k t ln p`, `s` being the smoothing. The loss is that
//! against the label itself, which the history shows whatever the targets. On the CPU dfdx's loss computes all this;
//! on a GPU that would be some twenty launches, and one kernel of ours takes their place.

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
use preprocess::{Error, Result};

/// A loss with the tape of all that led to it.
pub(crate) type Loss<B> = Tensor<Rank0, f32, B, OwnedTape<f32, B>>;

/// The loss of one image against its label, in nats, and its predicted class.
pub(crate) type ImageScore = (f64, usize);

/// Kernels of the loss.
pub trait CrossEntropyKernel: PendingKernel {
    /// `dz` of logits `[n, classes]`, and of each image its loss and the class of its largest logit `[n, 2]`; none
    /// from a device that leaves the loss to dfdx.
    #[allow(clippy::type_complexity)]
    fn cross_entropy_gradient(
        &self,
        pool: &Self::Pool,
        shape: [usize; 2],
        logits: &Self::Buffer,
        labels: &[usize],
        smoothing: f64,
    ) -> Result<Option<(Self::Buffer, Self::Buffer)>, Self::Err>;
}

/// What the loss knows of each image, still on the device.
#[derive(Debug)]
pub struct Scores<B: CrossEntropyKernel> {
    n: usize,
    /// `[n, 2]` of a device whose kernel computes the loss.
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
            let score = |(row, &label)| (logits::cross_entropy(row, label), logits::most_probable(row));
            return Ok(logits.chunks_exact(classes).zip(labels).map(score).collect());
        };
        let pairs = device.download([self.n, 2, 1, 1], computed).map_err(device_error("download losses"))?;
        Ok(pairs.as_chunks::<2>().0.iter().map(|&[loss, class]| (f64::from(loss), class as usize)).collect())
    }
}

/// The mean cross-entropy of logits `[n, classes, 1, 1]` against smoothed targets, with the pass' tape: to go backward
/// from; and what it knows of each image. The loss' value is dfdx's, or zero from a device whose kernel computes the
/// gradient and the scores alone.
///
/// # Errors
/// Logits and labels that do not fit each other, or a failure of the device.
pub fn cross_entropy<B: CrossEntropyKernel>(
    logits: &FeatureMap<B>,
    labels: &[usize],
    smoothing: f64,
    pass: &mut Pass<B>,
) -> Result<(Loss<B>, Scores<B>)> {
    const OP: &str = "cross-entropy";
    let sizes @ [n, classes] = logits.flat_shape(OP)?;
    if labels.len() != n || labels.iter().any(|&label| label >= classes) {
        return Err(Error::new(format!(
            "logits of {n} images and {classes} classes have {} labels, or others",
            labels.len()
        )));
    }
    let data = logits.activations(OP, pass)?;
    let computed =
        pass.forward(OP, |device| device.cross_entropy_gradient(pass.pool(), sizes, &data, labels, smoothing))?;
    let device = pass.device().clone();
    let Some((gradient, scores)) = computed else {
        let matrix = to_matrix(logits, pass)?;
        let targets = device.try_tensor_from_vec(targets(labels, classes, smoothing), (n, classes));
        let targets = targets.map_err(device_error("upload labels"))?;
        let loss = cross_entropy_with_logits_loss(matrix.put_tape(pass.take_tape()), targets);
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

/// Target probabilities `[images, classes]`: `smoothing` spread evenly over all classes, the rest for the label.
fn targets(labels: &[usize], classes: usize, smoothing: f64) -> Vec<f32> {
    let share = smoothing / classes as f64;
    let mut targets = vec![share as f32; labels.len() * classes];
    for (row, &label) in targets.chunks_exact_mut(classes).zip(labels) {
        row[label] = (share + 1.0 - smoothing) as f32;
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_probabilities() {
        assert_eq!(targets(&[1, 0], 2, 0.0), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(targets(&[3], 4, 0.5), [0.125, 0.125, 0.125, 0.625]);
    }
}
