//! A network on a device, with what is needed to run it on pixels.

pub mod directory;
mod ecosystem;
pub mod history;
pub mod inference;
pub mod input;
pub mod margins;
pub mod predictions;
pub(crate) mod pretrained;
pub mod score;

use crate::data::feed::Feed;
use crate::network::graph::Graph;
use crate::network::{Network, architectures};
use crate::ops::Backend;
use crate::tensor::arrays::Array;
use crate::tensor::failure::device_error;
use directory::Config;
use preprocess::pipeline::{Architecture, ImageSettings};
use preprocess::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// A network, its device, and the memory that is kept from pass to pass.
#[derive(Debug)]
pub struct Model<B: Backend> {
    /// The layers and their parameters.
    pub network: Network<B>,
    /// Where they live.
    pub device: B,
    /// Free buffers.
    pub pool: B::Pool,
    /// Size of the images.
    pub image: ImageSettings,
    /// Number of classes.
    pub classes: usize,
}

impl<B: Backend> Model<B> {
    /// A network with initial weights that follow from the seed.
    ///
    /// # Errors
    /// Images too small for the architecture; the device has no memory left.
    pub fn new(
        architecture: Architecture,
        classes: usize,
        image: &ImageSettings,
        seed: u64,
        device: &B,
    ) -> Result<Self> {
        Self::of(
            architectures::graph(architecture, classes, [image.width, image.height])?,
            classes,
            image,
            seed,
            device,
        )
    }

    /// The same of a graph for these classes and images.
    ///
    /// # Errors
    /// The device has no memory left.
    pub(crate) fn of(graph: Graph, classes: usize, image: &ImageSettings, seed: u64, device: &B) -> Result<Self> {
        Self::with(Network::new(graph, seed, usize::MAX, device)?, classes, image, device)
    }

    fn with(network: Network<B>, classes: usize, image: &ImageSettings, device: &B) -> Result<Self> {
        let pool = device.pool().map_err(device_error("the first allocation"))?;
        Ok(Self { network, device: device.clone(), pool, image: image.clone(), classes })
    }

    /// The model of a directory, with its trained weights.
    ///
    /// # Errors
    /// No model's directory; a file of it missing, damaged, or not of the same model as the others; weights that are
    /// not finite.
    pub(crate) fn load(directory: &Path, device: &B) -> Result<(Self, Config)> {
        let config = Config::read(directory)?;
        let weights = directory::read_weights(directory, &config)?;
        let (classes, image) = (config.num_classes, &config.image);
        let most_values = weights.iter().map(|array| array.values.len()).sum();
        let network = config
            .graph()
            .and_then(|graph| Network::new(graph, 0, most_values, device))
            .map_err(|error| directory::misfit_while(directory, error))?;
        let mut model = Self::with(network, classes, image, device)?;
        model.set_weights(&directory::pick_weights(directory, weights, &model.shapes())?)?;
        Ok((model, config))
    }

    /// Gives back the memory that is kept from pass to pass. The next pass fetches its own: some page faults, which is
    /// why it is not done between passes of one kind.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn release_memory(&mut self) -> Result<()> {
        self.pool = self.device.pool().map_err(device_error("give back memory"))?;
        Ok(())
    }

    /// Bytes of one image.
    pub fn image_bytes(&self) -> usize {
        self.image.height * self.image.width * 3
    }

    /// Names and shapes of all parameters, in the order of the layers.
    pub(crate) fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.network.parameters().iter().map(|p| (p.name.clone(), p.shape.clone())).collect()
    }

    /// Copies of all parameters, in the order of the layers.
    pub(crate) fn weights(&self) -> Vec<Array> {
        let copy = |p: &&crate::tensor::parameter::Parameter<B>| Array {
            name: p.name.clone(),
            shape: p.shape.clone(),
            values: p.values(),
        };
        self.network.parameters().iter().map(copy).collect()
    }

    /// Overwrites the parameters of these arrays' names; the others stay.
    ///
    /// # Errors
    /// An array of another shape.
    pub(crate) fn set_some_weights<'a>(&mut self, weights: impl IntoIterator<Item = &'a Array>) -> Result<()> {
        let mut parameters: HashMap<_, _> =
            self.network.parameters_mut().into_iter().map(|parameter| (parameter.name.clone(), parameter)).collect();
        for array in weights {
            if let Some(parameter) = parameters.get_mut(&array.name) {
                parameter.set_values(&array.values)?;
            }
        }
        Ok(())
    }

    /// Overwrites all parameters, given in the order of the layers.
    ///
    /// # Errors
    /// Other arrays than the network's.
    pub(crate) fn set_weights(&mut self, weights: &[Array]) -> Result<()> {
        let parameters = self.network.parameters_mut();
        if parameters.len() != weights.len() {
            return Err(Error::new(format!("{} arrays for {} parameters", weights.len(), parameters.len())));
        }
        for (parameter, array) in parameters.into_iter().zip(weights) {
            parameter.set_values(&array.values)?;
        }
        Ok(())
    }

    /// What brings images to the device in batches. The device keeps as many of `keep` images as there is memory for.
    ///
    /// # Errors
    /// The device has no memory left.
    pub(crate) fn feed(&self, keep: usize, batch_size: usize) -> Result<Feed<B::Store>> {
        let store =
            self.device.store(keep, batch_size, self.image_bytes()).map_err(device_error("make room for images"))?;
        Ok(Feed::new(store, self.image_bytes(), batch_size))
    }
}

/// The network's output for an image is not finite, though its weights are: they are so large that sums overflow.
pub(crate) fn no_numbers(image: &str) -> Error {
    Error::new(format!("the network's output for `{image}` is not a finite number"))
        .because("the weights are so large that their sums overflow")
        .hint("train the model again with a lower learning rate")
}
