//! An exponential moving average of a network's parameters (Polyak and Juditsky 1992; as `model_ema` in timm).
//!
//! ```text
//! average ← d · average + (1 - d) · parameter,    d = min(decay, (1 + t) / (10 + t)) after step 50 + t;  d = 0 up to step 50
//! ```
//! A network that has hardly begun is better than any average with its own past, so the first 50 steps are not
//! averaged. The lower decay afterwards, as in TensorFlow, keeps early values from lingering. Moving statistics are
//! averaged too.

use crate::ops::Backend;
use crate::tensor::arrays::Array;
use crate::tensor::failure::device_error;
use crate::tensor::memory::Vector;
use crate::tensor::parameter::Parameter;
use preprocess::{Error, Result};

/// Steps before averaging begins.
const SKIPPED: f64 = 50.0;

/// The average of all parameters of a network, on its device.
#[derive(Debug)]
pub(crate) struct Average<B: Backend> {
    device: B,
    pool: B::Pool,
    decay: f64,
    parameters: Vec<Vector<B>>,
}

impl<B: Backend> Average<B> {
    /// Begins at the present values.
    ///
    /// # Errors
    /// The device has no memory left.
    pub(crate) fn new(decay: f64, parameters: &[&Parameter<B>], device: &B) -> Result<Self> {
        let copies = parameters.iter().map(|p| device.copy_vector(&p.tensor)).collect::<Result<_, _>>();
        let parameters = copies.map_err(device_error("copy the parameters"))?;
        let pool = device.pool().map_err(device_error("copy the parameters"))?;
        Ok(Self { device: device.clone(), pool, decay, parameters })
    }

    /// Takes in the parameters after step `step` (from 1). They are those given to [`Average::new`], in the same order.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn update(&mut self, parameters: &[&Parameter<B>], step: u32) -> Result<()> {
        let averaged = f64::from(step) - SKIPPED;
        let decay = if averaged > 0.0 { self.decay.min((1.0 + averaged) / (10.0 + averaged)) } else { 0.0 };
        let averages = self.parameters.iter_mut().zip(parameters).map(|(average, p)| (average, &p.tensor)).collect();
        self.device.moving_average(&self.pool, decay, averages).map_err(device_error("the moving average"))
    }

    /// Copies of the averages under the parameters' names and shapes.
    pub(crate) fn arrays(&self, parameters: &[&Parameter<B>]) -> Vec<Array> {
        let copy = |(average, p): (&Vector<B>, &&Parameter<B>)| {
            let mut values = vec![0.0; p.len()];
            average.copy_into(&mut values);
            Array { name: p.name.clone(), shape: p.shape.clone(), values }
        };
        self.parameters.iter().zip(parameters).map(copy).collect()
    }

    /// Goes back to averages that [`arrays`](Self::arrays) gave.
    ///
    /// # Errors
    /// Arrays of another network.
    pub(crate) fn restore(&mut self, arrays: &[Array]) -> Result<()> {
        let fits =
            |(average, array): (&Vector<B>, &Array)| dfdx::shapes::HasShape::shape(average).0 == array.values.len();
        if arrays.len() != self.parameters.len() || !self.parameters.iter().zip(arrays).all(fits) {
            return Err(Error::new("the saved moving average is not of this network"));
        }
        self.parameters.iter_mut().zip(arrays).for_each(|(average, array)| average.copy_from(&array.values));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::tensor::Cpu;

    #[test]
    fn follows_the_formula_and_comes_back() {
        let device = Cpu::default();
        let parameter = |values: [f32; 2]| Parameter::new("a".into(), &[2], values.to_vec(), true, &device).unwrap();
        let mut average = Average::new(0.3, &[&parameter([7.0, 7.0])], &device).unwrap();
        // d = 0, 2/11, 3/12, 0.3.
        for (step, values) in [(50, [1.0, -1.0]), (51, [12.0, 0.0]), (52, [4.0, 1.0]), (53, [0.0, 10.0])] {
            average.update(&[&parameter(values)], step).unwrap();
        }
        let mut expected = [1.0f64, -1.0];
        for (decay, values) in [(2.0 / 11.0, [12.0, 0.0]), (0.25, [4.0, 1.0]), (0.3, [0.0, 10.0])] {
            for (average, value) in expected.iter_mut().zip(values) {
                *average = decay * *average + (1.0 - decay) * value;
            }
        }
        let arrays = average.arrays(&[&parameter([0.0; 2])]);
        for (found, expected) in arrays[0].values.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{arrays:?} is not {expected:?}");
        }
        let mut restored = Average::new(0.3, &[&parameter([5.0, 5.0])], &device).unwrap();
        restored.restore(&arrays).unwrap();
        assert_eq!(restored.arrays(&[&parameter([0.0; 2])]), arrays);
        assert!(restored.restore(&[]).is_err());
    }
}
