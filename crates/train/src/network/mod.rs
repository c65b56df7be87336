//! What the training loop needs of a network.

pub mod architectures;
pub mod initialization;
pub mod layers;
pub mod summary;

use crate::network::summary::LayerRow;
use crate::ops::Backend;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use preprocess::Result;

/// A classifier of images.
pub trait Network<B: Backend> {
    /// Logits `[images, classes, 1, 1]`, of which the [loss](crate::ops::cross_entropy) is taken.
    ///
    /// # Errors
    /// Images of another size than the network was built for, or a failure of the device.
    fn forward(&mut self, images: FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>>;

    /// All parameters, in the order of the layers; always the same order.
    fn parameters(&self) -> Vec<&Parameter<B>>;

    /// All parameters, in the same order.
    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>>;

    /// The rows of the summary, in the order of the layers.
    fn layers(&self) -> Vec<LayerRow>;
}
