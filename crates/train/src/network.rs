//! What the training loop needs of a network.

use crate::backend::{Backend, Matrix};
use crate::feature_map::FeatureMap;
use crate::parameter::Parameter;
use crate::pass::Pass;
use crate::summary::LayerRow;
use preprocess::Result;

/// A classifier of images.
pub trait Network<B: Backend> {
    /// Logits `[images, classes]`. Their gradients are recorded on the pass' tape, not on the tensor's: put the tape on it
    /// (`logits.put_tape(pass.take_tape())`) to go on with dfdx's ops.
    ///
    /// # Errors
    /// Images of another size than the network was built for, or a failure of the device.
    fn forward(&mut self, images: FeatureMap<B>, pass: &mut Pass<B>) -> Result<Matrix<B>>;

    /// All parameters, in the order of the layers; always the same order.
    fn parameters(&self) -> Vec<&Parameter<B>>;

    /// All parameters, in the same order.
    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>>;

    /// The rows of the summary, in the order of the layers.
    fn layers(&self) -> Vec<LayerRow>;
}
