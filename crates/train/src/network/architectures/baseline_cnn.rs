//! The baseline CNN: five convolutions with ReLU in three groups, each group followed by max pooling, then two dense layers.

use super::{Stage, follow};
use crate::network::Network;
use crate::network::layers::{Builder, Conv2d, ConvShape, Dense, Layer};
use crate::network::summary::LayerRow;
use crate::ops::Backend;
use crate::ops::conv2d::Padding;
use crate::ops::dropout::dropout;
use crate::ops::flatten::flatten;
use crate::ops::max_pool2d::max_pool2d;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use preprocess::Result;

/// Features between the two dense layers.
const HIDDEN: usize = 128;

/// How much of the hidden features is dropped in training.
const DROPOUT: f32 = 0.5;

/// The convolutions and poolings in order.
const STAGES: [Stage; 8] = {
    const fn three(inputs: usize, outputs: usize, padding: Padding) -> Stage {
        Stage::Convolution(ConvShape { inputs, outputs, kernel: 3, stride: 1, padding })
    }
    [
        three(3, 32, Padding::Same),
        Stage::MaxPooling,
        three(32, 64, Padding::Same),
        three(64, 64, Padding::Same),
        Stage::MaxPooling,
        three(64, 128, Padding::Valid),
        three(128, 128, Padding::Valid),
        Stage::MaxPooling,
    ]
};

/// The network.
#[derive(Debug)]
pub struct BaselineCnn<B: Backend> {
    convolutions: Vec<Conv2d<B>>,
    /// `[channels, height, width]` before the first stage and after each.
    shapes: Vec<[usize; 3]>,
    dense1: Dense<B>,
    dense2: Dense<B>,
}

impl<B: Backend> BaselineCnn<B> {
    /// For images of `input` `[channels, height, width]`.
    ///
    /// # Errors
    /// Images that are too small.
    pub fn new(input: [usize; 3], classes: usize, builder: &Builder<'_, B>) -> Result<Self> {
        let shapes = follow("baseline-cnn", input, &STAGES)?;
        let mut convolutions = Vec::new();
        for (stage, &shape) in STAGES.iter().zip(&shapes) {
            if let Stage::Convolution(conv) = stage {
                convolutions.push(Conv2d::new(&format!("conv{}", convolutions.len() + 1), *conv, shape, builder)?);
            }
        }
        let features = shapes[STAGES.len()].iter().product();
        let dense1 = Dense::new("dense1", features, HIDDEN, builder)?;
        let dense2 = Dense::new("dense2", HIDDEN, classes, builder)?;
        Ok(Self { convolutions, shapes, dense1, dense2 })
    }

    fn owners(&self) -> Vec<&dyn Layer<B>> {
        let dense: [&dyn Layer<B>; 2] = [&self.dense1, &self.dense2];
        self.convolutions.iter().map(|conv| conv as &dyn Layer<B>).chain(dense).collect()
    }
}

impl<B: Backend> Network<B> for BaselineCnn<B> {
    fn forward(&mut self, images: FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let mut x = images;
        let mut convolutions = self.convolutions.iter();
        let mut pools = 0;
        for stage in STAGES {
            x = match (stage, stage_convolution(stage, &mut convolutions)) {
                (_, Some(conv)) => conv.forward_relu(&x, pass)?,
                _ => {
                    pools += 1;
                    max_pool2d(&format!("pool{pools}"), &x, pass)?
                }
            };
        }
        let x = flatten(&x, pass)?;
        let x = self.dense1.forward_relu(&x, pass)?;
        let x = dropout("dropout", x, DROPOUT, pass)?;
        self.dense2.forward(&x, pass)
    }

    fn parameters(&self) -> Vec<&Parameter<B>> {
        self.owners().into_iter().flat_map(Layer::parameters).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        let Self { convolutions, dense1, dense2, .. } = self;
        let dense: [&mut dyn Layer<B>; 2] = [dense1, dense2];
        let owners = convolutions.iter_mut().map(|conv| conv as &mut dyn Layer<B>).chain(dense);
        owners.flat_map(Layer::parameters_mut).collect()
    }

    fn layers(&self) -> Vec<LayerRow> {
        let plain =
            |name: String, kind, output: &[usize]| LayerRow { name, kind, output: output.to_vec(), parameters: 0 };
        let mut convolutions = self.convolutions.iter();
        let mut rows = Vec::new();
        let mut pools = 0;
        for (stage, output) in STAGES.into_iter().zip(&self.shapes[1..]) {
            rows.push(match stage_convolution(stage, &mut convolutions) {
                Some(conv) => conv.row(),
                None => {
                    pools += 1;
                    plain(format!("pool{pools}"), "MaxPool2d", output)
                }
            });
        }
        let features = self.shapes[STAGES.len()].iter().product();
        rows.push(plain("flatten".to_owned(), "Flatten", &[features]));
        rows.push(self.dense1.row());
        rows.push(plain("dropout".to_owned(), "Dropout", &[HIDDEN]));
        rows.push(self.dense2.row());
        rows
    }
}

/// The next convolution, if the stage is one.
fn stage_convolution<T>(stage: Stage, convolutions: &mut impl Iterator<Item = T>) -> Option<T> {
    match stage {
        Stage::Convolution(_) => convolutions.next(),
        Stage::MaxPooling => None,
    }
}
