//! Pre-activation residual units (He et al. 2016).

use super::{BatchNorm2d, Builder, Conv2d, ConvShape, Layer};
use crate::network::summary::LayerRow;
use crate::ops::Backend;
use crate::ops::conv2d::Padding;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use preprocess::Result;

/// `shortcut(x) + conv2(relu(bn2(conv1(relu(bn1(x))))))`, both convolutions 3x3 with same padding. The shortcut is the identity,
/// or a 1x1 convolution where the number of filters changes.
#[derive(Debug)]
pub struct ResidualUnit<B: Backend> {
    bn1: BatchNorm2d<B>,
    conv1: Conv2d<B>,
    bn2: BatchNorm2d<B>,
    conv2: Conv2d<B>,
    shortcut: Option<Conv2d<B>>,
}

impl<B: Backend> ResidualUnit<B> {
    /// As many filters as the input has channels.
    ///
    /// # Errors
    /// The device has no memory left.
    pub fn new(name: &str, input: [usize; 3], builder: &Builder<'_, B>) -> Result<Self> {
        Self::build(name, input, input[0], false, builder)
    }

    /// `filters` output channels, and a convolution as the shortcut.
    ///
    /// # Errors
    /// The device has no memory left.
    pub fn changing_filters(name: &str, input: [usize; 3], filters: usize, builder: &Builder<'_, B>) -> Result<Self> {
        Self::build(name, input, filters, true, builder)
    }

    fn build(
        name: &str,
        input: [usize; 3],
        filters: usize,
        convolve_shortcut: bool,
        builder: &Builder<'_, B>,
    ) -> Result<Self> {
        let channels = input[0];
        let three = |part: &str, filters: usize| {
            Conv2d::new(&format!("{name}.{part}"), ConvShape::three(channels, filters, Padding::Same), input, builder)
        };
        let one = ConvShape { inputs: channels, outputs: filters, kernel: 1, stride: 1, padding: Padding::Valid };
        let shortcut = || Conv2d::new(&format!("{name}.shortcut"), one, input, builder);
        Ok(Self {
            bn1: BatchNorm2d::new(&format!("{name}.bn1"), input, builder)?,
            conv1: three("conv1", channels)?.before_batch_norm(),
            bn2: BatchNorm2d::new(&format!("{name}.bn2"), input, builder)?,
            conv2: three("conv2", filters)?,
            shortcut: convolve_shortcut.then(shortcut).transpose()?,
        })
    }

    /// `[channels, height, width]` of its output.
    pub fn output(&self) -> [usize; 3] {
        self.conv2.output()
    }

    /// Applies it.
    ///
    /// # Errors
    /// Images of another shape, or a failure of the device.
    pub fn forward(&mut self, x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let shortcut = self.shortcut.as_ref().map(|conv| conv.forward(x, pass)).transpose()?;
        let branch = self.bn1.forward_relu(x, pass)?;
        let branch = self.conv1.forward(&branch, pass)?;
        let branch = self.bn2.forward_relu(&branch, pass)?;
        self.conv2.forward_add(&branch, shortcut.as_ref().unwrap_or(x), pass)
    }

    /// Its rows in the summary.
    pub fn rows(&self) -> Vec<LayerRow> {
        let branch = [self.bn1.row(), self.conv1.row(), self.bn2.row(), self.conv2.row()];
        branch.into_iter().chain(self.shortcut.as_ref().map(Conv2d::row)).collect()
    }

    fn layers(&self) -> Vec<&dyn Layer<B>> {
        let shortcut = self.shortcut.as_ref().map(|conv| conv as &dyn Layer<B>);
        let branch: [&dyn Layer<B>; 4] = [&self.bn1, &self.conv1, &self.bn2, &self.conv2];
        branch.into_iter().chain(shortcut).collect()
    }
}

impl<B: Backend> Layer<B> for ResidualUnit<B> {
    fn parameters(&self) -> Vec<&Parameter<B>> {
        self.layers().into_iter().flat_map(Layer::parameters).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        let Self { bn1, conv1, bn2, conv2, shortcut } = self;
        let branch: [&mut dyn Layer<B>; 4] = [bn1, conv1, bn2, conv2];
        let shortcut = shortcut.as_mut().map(|conv| conv as &mut dyn Layer<B>);
        branch.into_iter().chain(shortcut).flat_map(Layer::parameters_mut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::summary::ParameterCounts;
    use dfdx::tensor::Cpu;

    #[test]
    fn parameter_counts_are_the_notebooks() {
        let device = Cpu::default();
        let builder = Builder { seed: 1, device: &device, most_values: usize::MAX };
        let plain = ResidualUnit::new("unit", [3, 8, 9], &builder).unwrap();
        let changing = ResidualUnit::changing_filters("unit", [3, 8, 9], 16, &builder).unwrap();
        for (name, unit, total, trainable, output) in
            [("3 channels", &plain, 192, 180, [3, 8, 9]), ("3 channels to 16 filters", &changing, 620, 608, [16, 8, 9])]
        {
            let counts = ParameterCounts::of(&unit.parameters());
            assert_eq!(counts, ParameterCounts { trainable, non_trainable: 12 }, "{name}");
            assert_eq!(counts.total(), total, "{name}");
            assert_eq!(unit.rows().iter().map(|row| row.parameters).sum::<usize>(), total, "{name}: summary");
            assert_eq!(unit.output(), output, "{name}");
        }
    }
}
