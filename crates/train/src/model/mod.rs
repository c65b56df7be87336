//! A network on a device, with what is needed to run it on pixels.

pub mod config_check;
pub mod directory;
pub mod history;
pub mod input;
pub mod predictions;
pub mod score;

use crate::data::feed::Feed;
use crate::data::images::Images;
use crate::model::input::{batch_to_feature_map, images_to_feature_map};
use crate::model::predictions::{Prediction, Predictions};
use crate::network::layers::Builder;
use crate::network::{Network, architectures};
use crate::ops::Backend;
use crate::ops::cross_entropy::logits;
use crate::tensor::arrays::Array;
use crate::tensor::failure::device_error;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::pass::Pass;
use directory::Config;
use preprocess::dataset::Rows;
use preprocess::pipeline::{Architecture, ImageSettings};
use preprocess::stage::interrupt;
use preprocess::{Error, Result};
use score::Score;
use std::path::Path;
use std::sync::Arc;

/// A network, its device, and the memory that is kept from pass to pass.
pub struct Model<B: Backend> {
    /// The layers and their parameters.
    pub network: Box<dyn Network<B>>,
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
        Self::with(architecture, classes, image, &Builder { seed, device, most_values: usize::MAX })
    }

    fn with(
        architecture: Architecture,
        classes: usize,
        image: &ImageSettings,
        builder: &Builder<'_, B>,
    ) -> Result<Self> {
        let network = architectures::build_with(architecture, classes, [image.width, image.height], builder)?;
        let device = builder.device;
        let pool = device.pool().map_err(device_error("the first allocation"))?;
        Ok(Self { network, device: device.clone(), pool, image: image.clone(), classes })
    }

    /// The model of a directory, with its trained weights.
    ///
    /// # Errors
    /// No model's directory; a file of it missing, damaged, or not of the same model as the others; weights that are not finite.
    pub fn load(directory: &Path, device: &B) -> Result<(Self, Config)> {
        let config = Config::read(directory)?;
        let weights = directory::read_weights(directory, &config)?;
        let most_values = weights.iter().map(|array| array.values.len()).sum();
        let builder = Builder { seed: 0, device, most_values };
        let mut model = Self::with(config.architecture, config.num_classes, &config.image, &builder)
            .map_err(|error| directory::misfit_while(directory, error))?;
        model.set_weights(&directory::pick_weights(directory, weights, &model.shapes())?)?;
        Ok((model, config))
    }

    /// Gives back the memory that is kept from pass to pass. The next pass fetches its own: some page faults, which is why it is not done
    /// between passes of one kind.
    ///
    /// # Errors
    /// The device failed.
    pub fn release_memory(&mut self) -> Result<()> {
        self.pool = self.device.pool().map_err(device_error("give back memory"))?;
        Ok(())
    }

    /// Bytes of one image.
    pub fn image_bytes(&self) -> usize {
        self.image.height * self.image.width * 3
    }

    /// Names and shapes of all parameters, in the order of the layers.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.network.parameters().iter().map(|p| (p.name.clone(), p.shape.clone())).collect()
    }

    /// Length of the vector that the last layer turns into logits: the width of the last matrix among the parameters.
    pub fn features(&self) -> usize {
        let matrix = |shape: &Vec<usize>| <[usize; 2]>::try_from(shape.as_slice()).ok();
        self.network.parameters().iter().rev().find_map(|p| matrix(&p.shape)).map_or(0, |[_, features]| features)
    }

    /// Copies of all parameters, in the order of the layers.
    pub fn weights(&self) -> Vec<Array> {
        let copy = |p: &&crate::tensor::parameter::Parameter<B>| Array {
            name: p.name.clone(),
            shape: p.shape.clone(),
            values: p.values(),
        };
        self.network.parameters().iter().map(copy).collect()
    }

    /// Overwrites all parameters, given in the order of the layers.
    ///
    /// # Errors
    /// Other arrays than the network's.
    pub fn set_weights(&mut self, weights: &[Array]) -> Result<()> {
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
    pub fn feed(&self, keep: usize, batch_size: usize) -> Result<Feed<B::Store>> {
        let store =
            self.device.store(keep, batch_size, self.image_bytes()).map_err(device_error("make room for images"))?;
        Ok(Feed::new(store, self.image_bytes(), batch_size))
    }

    /// Logits `[images, classes]` of 8-bit RGB images `[images, height, width, 3]`, in inference mode.
    ///
    /// # Errors
    /// The number of bytes is not that of whole images; the device fails.
    pub fn logits(&mut self, pixels: &[u8]) -> Result<Vec<f32>> {
        let count = pixels.len() / self.image_bytes();
        let (height, width) = (self.image.height, self.image.width);
        self.forward(|pass| images_to_feature_map(pixels, count, height, width, pass))
    }

    fn forward(&mut self, images: impl FnOnce(&Pass<B>) -> Result<FeatureMap<B>>) -> Result<Vec<f32>> {
        let mut pass = Pass::infer(&self.device, &self.pool);
        self.network.forward(images(&pass)?, &mut pass)?.to_nchw(&self.device)
    }

    /// Runs over all images in their order, handing each batch's logits and labels to `take`.
    ///
    /// # Errors
    /// An image cannot be read, the device fails, or the run is interrupted.
    pub fn infer<I: Images>(
        &mut self,
        images: &Arc<I>,
        feed: &mut Feed<B::Store>,
        mut take: impl FnMut(&[f32], &[usize]),
    ) -> Result<()> {
        let (height, width) = (self.image.height, self.image.width);
        for batch in feed.epoch(images, (0..images.count()).collect())? {
            interrupt::check()?;
            let batch = batch?;
            take(&self.forward(|pass| batch_to_feature_map(&batch, height, width, pass))?, &batch.labels);
        }
        Ok(())
    }

    /// Loss and accuracy over all images.
    ///
    /// # Errors
    /// As [`infer`](Self::infer).
    pub fn score<I: Images>(&mut self, images: &Arc<I>, feed: &mut Feed<B::Store>) -> Result<Score> {
        let mut score = Score::default();
        self.infer(images, feed, |logits, labels| score.add(logits, labels))?;
        Ok(score)
    }

    /// The predictions for all rows in their order, and their score.
    ///
    /// # Errors
    /// As [`infer`](Self::infer).
    pub fn predict(&mut self, rows: &Arc<Rows>, batch_size: usize, classes: &[String]) -> Result<(Predictions, Score)> {
        let (mut predictions, mut score) = (Vec::with_capacity(rows.len()), Score::default());
        let mut feed = self.feed(0, batch_size)?;
        self.infer(rows, &mut feed, |logits, labels| {
            score.add(logits, labels);
            for (logits, &label) in logits.chunks_exact(classes.len()).zip(labels) {
                let row = predictions.len();
                predictions.push(Prediction {
                    path: rows.source(row).to_owned(),
                    content: rows.content(row).to_owned(),
                    group: rows.group(row),
                    label,
                    prediction: logits::most_probable(logits),
                    probabilities: logits::softmax(logits),
                });
            }
        })?;
        if let Some(row) = predictions.iter().find(|row| row.probabilities.iter().any(|p| !p.is_finite())) {
            return Err(no_numbers(&row.path));
        }
        Ok((Predictions { classes: classes.to_vec(), rows: predictions }, score))
    }
}

/// The network's output for an image is not finite, though its weights are: they are so large that sums overflow.
pub(crate) fn no_numbers(image: &str) -> Error {
    Error::new(format!("the network's output for `{image}` is not a finite number"))
        .because("the weights are so large that their sums overflow")
        .hint("train the model again with a lower learning rate")
}
