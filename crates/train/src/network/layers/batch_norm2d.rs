//! Batch normalisation with its affine parameters and moving statistics.

use super::{Builder, Layer, parameter_count};
use crate::network::summary::LayerRow;
use crate::ops::Backend;
use crate::ops::batch_norm2d::{Parameters, batch_norm2d};
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use preprocess::Result;

/// Batch normalisation, followed by ReLU: in these networks it always is.
#[derive(Debug)]
pub struct BatchNorm2d<B: Backend> {
    input: [usize; 3],
    weight: Parameter<B>,
    bias: Parameter<B>,
    running_mean: Parameter<B>,
    running_var: Parameter<B>,
}

impl<B: Backend> BatchNorm2d<B> {
    /// For images of `input` `[channels, height, width]`. Scale 1, shift 0, moving mean 0, moving variance 1.
    ///
    /// # Errors
    /// The device has no memory left.
    pub fn new(name: &str, input: [usize; 3], builder: &Builder<'_, B>) -> Result<Self> {
        let constant = |part: &str, value: f32, trainable: bool| {
            Parameter::new(format!("{name}.{part}"), &input[..1], vec![value; input[0]], trainable, builder.device)
        };
        Ok(Self {
            input,
            weight: constant("weight", 1.0, true)?,
            bias: constant("bias", 0.0, true)?,
            running_mean: constant("running_mean", 0.0, false)?,
            running_var: constant("running_var", 1.0, false)?,
        })
    }

    /// Normalises and clamps at zero; in training the moving statistics move.
    ///
    /// # Errors
    /// As [`batch_norm2d`].
    pub fn forward_relu(&mut self, x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let Self { weight, bias, running_mean, running_var, .. } = self;
        batch_norm2d(x, Parameters { weight, bias, running_mean, running_var }, true, pass)
    }

    /// Its row in the summary.
    pub fn row(&self) -> LayerRow {
        let name = self.weight.name.trim_end_matches(".weight").to_owned();
        LayerRow { name, kind: "BatchNorm2d", output: self.input.to_vec(), parameters: parameter_count(self) }
    }
}

impl<B: Backend> Layer<B> for BatchNorm2d<B> {
    fn parameters(&self) -> Vec<&Parameter<B>> {
        vec![&self.weight, &self.bias, &self.running_mean, &self.running_var]
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        vec![&mut self.weight, &mut self.bias, &mut self.running_mean, &mut self.running_var]
    }
}
