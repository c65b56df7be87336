//! The ResNet: a 7x7 stem, a residual unit, a convolution that halves the image, a residual unit that doubles the filters,
//! one dense layer.

use super::{Stage, follow};
use crate::network::Network;
use crate::network::layers::{Builder, Conv2d, ConvShape, Dense, Layer, ResidualUnit};
use crate::network::summary::LayerRow;
use crate::ops::Backend;
use crate::ops::conv2d::Padding;
use crate::ops::flatten::flatten;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use preprocess::Result;

/// Filters of the stem and the first unit.
const FILTERS: usize = 32;

/// Filters of the last unit.
const LAST_FILTERS: usize = 64;

const STEM: ConvShape = ConvShape { inputs: 3, outputs: FILTERS, kernel: 7, stride: 2, padding: Padding::Valid };
const HALVING: ConvShape =
    ConvShape { inputs: FILTERS, outputs: FILTERS, kernel: 3, stride: 2, padding: Padding::Valid };

/// The network.
#[derive(Debug)]
pub struct Resnet<B: Backend> {
    conv1: Conv2d<B>,
    unit1: ResidualUnit<B>,
    conv2: Conv2d<B>,
    unit2: ResidualUnit<B>,
    dense: Dense<B>,
}

impl<B: Backend> Resnet<B> {
    /// For images of `input` `[channels, height, width]`.
    ///
    /// # Errors
    /// Images that are too small.
    pub fn new(input: [usize; 3], classes: usize, builder: &Builder<'_, B>) -> Result<Self> {
        let shapes = follow("resnet", input, &[Stage::Convolution(STEM), Stage::Convolution(HALVING)])?;
        let unit2 = ResidualUnit::changing_filters("unit2", shapes[2], LAST_FILTERS, builder)?;
        let features = unit2.output().iter().product();
        Ok(Self {
            conv1: Conv2d::new("conv1", STEM, input, builder)?.before_batch_norm(),
            unit1: ResidualUnit::new("unit1", shapes[1], builder)?,
            conv2: Conv2d::new("conv2", HALVING, shapes[1], builder)?.before_batch_norm(),
            unit2,
            dense: Dense::new("dense", features, classes, builder)?,
        })
    }
}

impl<B: Backend> Network<B> for Resnet<B> {
    fn forward(&mut self, images: FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let x = self.conv1.forward(&images, pass)?;
        let x = self.unit1.forward(&x, pass)?;
        let x = self.conv2.forward(&x, pass)?;
        let x = self.unit2.forward(&x, pass)?;
        let x = flatten(&x, pass)?;
        self.dense.forward(&x, pass)
    }

    fn parameters(&self) -> Vec<&Parameter<B>> {
        let owners: [&dyn Layer<B>; 5] = [&self.conv1, &self.unit1, &self.conv2, &self.unit2, &self.dense];
        owners.into_iter().flat_map(Layer::parameters).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        let Self { conv1, unit1, conv2, unit2, dense } = self;
        let owners: [&mut dyn Layer<B>; 5] = [conv1, unit1, conv2, unit2, dense];
        owners.into_iter().flat_map(Layer::parameters_mut).collect()
    }

    fn layers(&self) -> Vec<LayerRow> {
        let features = self.unit2.output().iter().product();
        let flatten = LayerRow { name: "flatten".to_owned(), kind: "Flatten", output: vec![features], parameters: 0 };
        let mut rows = vec![self.conv1.row()];
        rows.extend(self.unit1.rows());
        rows.push(self.conv2.row());
        rows.extend(self.unit2.rows());
        rows.extend([flatten, self.dense.row()]);
        rows
    }
}
