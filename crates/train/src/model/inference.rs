//! A model in use: logits of images, predictions and scores of whole splits.

use super::input::{batch_to_feature_map, images_to_feature_map};
use super::predictions::{Prediction, Predictions};
use super::score::Score;
use super::{Model, no_numbers};
use crate::data::feed::{Batch, Feed};
use crate::data::images::Images;
use crate::data::store::Pixels;
use crate::network::Network;
use crate::ops::Backend;
use crate::ops::cross_entropy::logits;
use crate::ops::mix::{Mix, mix};
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::pass::Pass;
use preprocess::Result;
use preprocess::dataset::Rows;
use preprocess::pipeline::ImageSettings;
use preprocess::stage::interrupt;
use std::sync::Arc;

/// A model whose weights stand still: normalisations are folded into the convolutions before them.
#[derive(Debug)]
pub struct Inference<'a, B: Backend> {
    /// What it was made of.
    pub model: &'a Model<B>,
    network: Network<B>,
    /// Whether an answer is that to an image and to its mirror image, in the mean.
    flips: bool,
}

impl<'a, B: Backend> Inference<'a, B> {
    /// The model as it classifies. It shares the weights, so training can only go on once it is gone.
    ///
    /// # Errors
    /// The device failed, or has no memory left.
    pub fn of(model: &'a Model<B>) -> Result<Self> {
        Ok(Self { model, network: model.network.for_inference(&model.device)?, flips: false })
    }

    /// Answers with the mean of the probabilities of each image and of its mirror image, if `flips`.
    pub fn with_flips(self, flips: bool) -> Self {
        Self { flips, ..self }
    }

    /// Logits `[images, classes, 1, 1]` of a batch, left on the device.
    ///
    /// # Errors
    /// Images of another size, or a failure of the device.
    pub(crate) fn forward_batch(&mut self, batch: &Batch<Pixels<B>>) -> Result<FeatureMap<B>> {
        let ImageSettings { height, width, .. } = self.model.image;
        let mut pass = Pass::infer(&self.model.device, &self.model.pool);
        let images = batch_to_feature_map(batch, height, width, self.network.graph().standardization(), &pass)?;
        self.network.forward(images, &mut pass)
    }

    /// Logits `[images, classes]` of 8-bit RGB images `[images, height, width, 3]`, in inference mode.
    ///
    /// # Errors
    /// The number of bytes is not that of whole images; the device fails.
    pub fn logits(&mut self, pixels: &[u8]) -> Result<Vec<f32>> {
        let count = pixels.len() / self.model.image_bytes();
        let ImageSettings { height, width, .. } = self.model.image;
        let mut pass = Pass::infer(&self.model.device, &self.model.pool);
        let of = self.network.graph().standardization();
        let images = images_to_feature_map(pixels, count, height, width, of, &pass)?;
        self.answer(images, &mut pass)
    }

    /// Logits `[images, classes]` on the host.
    fn answer(&mut self, images: FeatureMap<B>, pass: &mut Pass<B>) -> Result<Vec<f32>> {
        if !self.flips {
            return self.network.forward(images, pass)?.to_nchw(&self.model.device);
        }
        let mirrors: Vec<Mix> = (0..images.shape()[0]).map(Mix::mirror).collect();
        let mirrored = mix(&images, &mirrors, [0.0; 3], pass)?;
        let logits = self.network.forward(images, pass)?.to_nchw(&self.model.device)?;
        let others = self.network.forward(mirrored, pass)?.to_nchw(&self.model.device)?;
        let classes = self.model.classes.max(1);
        let pairs = logits.chunks_exact(classes).zip(others.chunks_exact(classes));
        Ok(pairs.flat_map(|(a, b)| logits::of_mean_probabilities(a, b)).collect())
    }

    /// Runs over all images in their order, handing each batch's logits and labels to `take`.
    ///
    /// # Errors
    /// An image cannot be read, the device fails, or the run is interrupted.
    pub(crate) fn run<I: Images>(
        &mut self,
        images: &Arc<I>,
        feed: &mut Feed<B::Store>,
        mut take: impl FnMut(&[f32], &[usize]),
    ) -> Result<()> {
        let ImageSettings { height, width, .. } = self.model.image;
        let of = self.network.graph().standardization();
        for batch in feed.epoch(images, (0..images.count()).collect())? {
            interrupt::check()?;
            let batch = batch?;
            let mut pass = Pass::infer(&self.model.device, &self.model.pool);
            let pixels = batch_to_feature_map(&batch, height, width, of, &pass)?;
            take(&self.answer(pixels, &mut pass)?, &batch.labels);
        }
        Ok(())
    }

    /// Runs over all images in their order, handing what the head would see of each batch `[images, features]`, and
    /// its labels, to `take`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn run_features<I: Images>(
        &mut self,
        images: &Arc<I>,
        feed: &mut Feed<B::Store>,
        mut take: impl FnMut(&[f32], &[usize]),
    ) -> Result<()> {
        let ImageSettings { height, width, .. } = self.model.image;
        let of = self.network.graph().standardization();
        for batch in feed.epoch(images, (0..images.count()).collect())? {
            interrupt::check()?;
            let batch = batch?;
            let mut pass = Pass::infer(&self.model.device, &self.model.pool);
            let pixels = batch_to_feature_map(&batch, height, width, of, &pass)?;
            let features = self.network.features(pixels, &mut pass)?;
            take(&features.to_nchw(&self.model.device)?, &batch.labels);
        }
        Ok(())
    }

    /// Loss and accuracy over all images.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn score<I: Images>(&mut self, images: &Arc<I>, feed: &mut Feed<B::Store>) -> Result<Score> {
        let mut score = Score::default();
        self.run(images, feed, |logits, labels| score.add(logits, labels))?;
        Ok(score)
    }

    /// The predictions for all rows in their order, and their score.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn predict(
        &mut self,
        rows: &Arc<Rows>,
        batch_size: usize,
        classes: &[String],
    ) -> Result<(Predictions, Score)> {
        let mut all = Vec::with_capacity(rows.len() * classes.len());
        let mut feed = self.model.feed(0, batch_size)?;
        self.run(rows, &mut feed, |logits, _| all.extend_from_slice(logits))?;
        predictions_of(rows, &all, classes)
    }

    /// The same from the features of the rows, in their order, that [`run_features`](Self::run_features) gave.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub(crate) fn predict_features(
        &mut self,
        rows: &Rows,
        features: &[f32],
        classes: &[String],
    ) -> Result<(Predictions, Score)> {
        let dim = self.network.graph().features().max(1);
        let mut all = Vec::with_capacity(rows.len() * classes.len());
        for features in features.chunks(ROWS * dim) {
            let mut pass = Pass::infer(&self.model.device, &self.model.pool);
            let features = FeatureMap::from_nchw(features, [features.len() / dim, dim, 1, 1], &pass)?;
            all.extend(self.network.head(features, &mut pass)?.to_nchw(&self.model.device)?);
        }
        predictions_of(rows, &all, classes)
    }
}

/// Features that the head sees at once.
const ROWS: usize = 4096;

/// The predictions for all rows, whose logits are `[rows, classes]`, and their score.
fn predictions_of(rows: &Rows, logits: &[f32], classes: &[String]) -> Result<(Predictions, Score)> {
    let (mut predictions, mut score) = (Vec::with_capacity(rows.len()), Score::default());
    for (row, logits) in logits.chunks_exact(classes.len()).enumerate() {
        let label = rows.label(row);
        score.add(logits, &[label]);
        predictions.push(Prediction {
            path: rows.source(row).to_owned(),
            content: rows.content(row).to_owned(),
            group: rows.group(row),
            label,
            prediction: logits::most_probable(logits),
            probabilities: logits::softmax(logits),
        });
    }
    if let Some(row) = predictions.iter().find(|row| row.probabilities.iter().any(|p| !p.is_finite())) {
        return Err(no_numbers(&row.path));
    }
    Ok((Predictions { classes: classes.to_vec(), rows: predictions }, score))
}
