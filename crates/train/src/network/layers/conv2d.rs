//! A convolution with its kernel and bias.

use super::{Builder, Layer, parameter_count};
use crate::network::initialization::glorot_uniform;
use crate::network::summary::LayerRow;
use crate::ops::Backend;
use crate::ops::conv2d::{Geometry, Options, Padding, conv2d};
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use preprocess::{Error, Result};

/// Sizes of a convolution, the images left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Step of the kernel.
    pub stride: usize,
    /// What lies around the image.
    pub padding: Padding,
}

impl ConvShape {
    /// A 3x3 convolution of stride 1.
    pub fn three(inputs: usize, outputs: usize, padding: Padding) -> Self {
        Self { inputs, outputs, kernel: 3, stride: 1, padding }
    }

    /// `[channels, height, width]` of the output for an input of that form; none where the kernel does not fit.
    pub fn output(&self, [_, h, w]: [usize; 3]) -> Option<[usize; 3]> {
        let kernel = [self.outputs, self.inputs, self.kernel, self.kernel];
        let geometry = Geometry::new([1, self.inputs, h, w], kernel, self.stride, self.padding)?;
        Some([self.outputs, geometry.out_h, geometry.out_w])
    }
}

/// A convolution. Weights glorot uniform, bias zero, as Keras does.
#[derive(Debug)]
pub struct Conv2d<B: Backend> {
    shape: ConvShape,
    output: [usize; 3],
    weight: Parameter<B>,
    bias: Parameter<B>,
    /// Whether it takes its output's moments as it goes.
    moments: bool,
}

impl<B: Backend> Conv2d<B> {
    /// A convolution for images of `input` `[channels, height, width]`.
    ///
    /// # Errors
    /// The kernel does not fit into the image, or the device has no memory left.
    pub fn new(name: &str, shape: ConvShape, input: [usize; 3], builder: &Builder<'_, B>) -> Result<Self> {
        let output = shape.output(input).filter(|_| shape.inputs == input[0]);
        let output =
            output.ok_or_else(|| Error::new(format!("`{name}` ({shape:?}) does not fit images of {input:?}")))?;
        let sizes = [shape.outputs, shape.inputs, shape.kernel, shape.kernel];
        let weight_name = format!("{name}.weight");
        let values = glorot_uniform(builder.seed, &weight_name, &sizes);
        let weight = Parameter::new(weight_name, &sizes, values, true, builder.device)?;
        let bias =
            Parameter::new(format!("{name}.bias"), &[shape.outputs], vec![0.0; shape.outputs], true, builder.device)?;
        Ok(Self { shape, output, weight, bias, moments: false })
    }

    /// The same convolution, which in training takes its output's moments as it goes: for one that batch normalisation follows.
    pub fn before_batch_norm(self) -> Self {
        Self { moments: true, ..self }
    }

    /// `[channels, height, width]` of its output.
    pub fn output(&self) -> [usize; 3] {
        self.output
    }

    /// Applies it.
    ///
    /// # Errors
    /// As [`conv2d`].
    pub fn forward(&self, x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        self.apply(x, None, false, pass)
    }

    /// Applies it, and clamps at zero.
    ///
    /// # Errors
    /// As [`conv2d`].
    pub fn forward_relu(&self, x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        self.apply(x, None, true, pass)
    }

    /// Applies it, and adds `residual`.
    ///
    /// # Errors
    /// As [`conv2d`].
    pub fn forward_add(
        &self,
        x: &FeatureMap<B>,
        residual: &FeatureMap<B>,
        pass: &mut Pass<B>,
    ) -> Result<FeatureMap<B>> {
        self.apply(x, Some(residual), false, pass)
    }

    fn apply(
        &self,
        x: &FeatureMap<B>,
        residual: Option<&FeatureMap<B>>,
        relu: bool,
        pass: &mut Pass<B>,
    ) -> Result<FeatureMap<B>> {
        let ConvShape { stride, padding, .. } = self.shape;
        let options = Options { stride, padding, residual, relu, moments: self.moments };
        conv2d(x, &self.weight, &self.bias, options, pass)
    }

    /// Its row in the summary.
    pub fn row(&self) -> LayerRow {
        let name = self.weight.name.trim_end_matches(".weight").to_owned();
        LayerRow { name, kind: "Conv2d", output: self.output.to_vec(), parameters: parameter_count(self) }
    }
}

impl<B: Backend> Layer<B> for Conv2d<B> {
    fn parameters(&self) -> Vec<&Parameter<B>> {
        vec![&self.weight, &self.bias]
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        vec![&mut self.weight, &mut self.bias]
    }
}
