//! A dense layer with its weight and bias.

use super::{Builder, Layer, parameter_count};
use crate::network::initialization::glorot_uniform;
use crate::network::summary::LayerRow;
use crate::ops::Backend;
use crate::ops::dense::dense;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use preprocess::Result;

/// A dense layer. Weights glorot uniform, bias zero, as Keras does.
#[derive(Debug)]
pub struct Dense<B: Backend> {
    weight: Parameter<B>,
    bias: Parameter<B>,
}

impl<B: Backend> Dense<B> {
    /// From `inputs` features to `outputs`.
    ///
    /// # Errors
    /// More values than the builder allows, or the device has no memory left.
    pub fn new(name: &str, inputs: usize, outputs: usize, builder: &Builder<'_, B>) -> Result<Self> {
        let (sizes, weight_name) = ([outputs, inputs], format!("{name}.weight"));
        builder.check_size(&weight_name, sizes)?;
        let values = glorot_uniform(builder.seed, &weight_name, &sizes);
        let weight = Parameter::new(weight_name, &sizes, values, true, builder.device)?;
        let bias = Parameter::new(format!("{name}.bias"), &[outputs], vec![0.0; outputs], true, builder.device)?;
        Ok(Self { weight, bias })
    }

    /// Applies it.
    ///
    /// # Errors
    /// As [`dense`].
    pub fn forward(&self, x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        dense(x, &self.weight, &self.bias, false, pass)
    }

    /// Applies it, and clamps at zero.
    ///
    /// # Errors
    /// As [`dense`].
    pub fn forward_relu(&self, x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        dense(x, &self.weight, &self.bias, true, pass)
    }

    /// Its row in the summary.
    pub fn row(&self) -> LayerRow {
        let name = self.weight.name.trim_end_matches(".weight").to_owned();
        LayerRow { name, kind: "Dense", output: self.bias.shape.clone(), parameters: parameter_count(self) }
    }
}

impl<B: Backend> Layer<B> for Dense<B> {
    fn parameters(&self) -> Vec<&Parameter<B>> {
        vec![&self.weight, &self.bias]
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        vec![&mut self.weight, &mut self.bias]
    }
}
