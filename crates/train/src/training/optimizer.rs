//! Adam over all trainable parameters of a network, with decoupled weight decay if asked for.

use crate::ops::Backend;
use crate::ops::adam::{ParameterUpdate, Step};
use crate::tensor::failure::device_error;
use crate::tensor::memory::Slot;
use crate::tensor::parameter::Parameter;
use dfdx::tensor::{Gradients, Storage};
use preprocess::{Error, Result};

/// Decay rates of the moments' moving averages, as in the paper and everywhere else.
pub(crate) const BETAS: [f64; 2] = [0.9, 0.999];

/// Added to the root of the second moment: Keras' default. PyTorch's is 1e-8.
pub(crate) const EPSILON: f64 = 1e-7;

/// Adam (Kingma and Ba 2015) with bias correction. Weight decay is decoupled from the gradient (AdamW, Loshchilov and
/// Hutter 2019): a step takes `learning rate · decay` of each weight away, as in PyTorch's `AdamW`. Only convolution
/// kernels and dense matrices decay; biases and batch normalisation's parameters do not, as is usual.
#[derive(Debug)]
pub struct Adam<B: Backend> {
    device: B,
    pool: B::Pool,
    learning_rate: f64,
    weight_decay: f64,
    step: u32,
    moments: Vec<Moments<B>>,
}

/// The moving averages of one parameter's gradient.
#[derive(Debug)]
struct Moments<B: Backend> {
    name: String,
    first: Slot<B>,
    second: Slot<B>,
    /// The parameter's learning rate, as a fraction of the step's.
    rate: f64,
}

/// The moving averages of one parameter's gradient, on the host: for checkpoints.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SavedMoments {
    /// The parameter's name.
    pub name: String,
    /// Mean of the gradient.
    pub first: Vec<f32>,
    /// Mean of the gradient's square.
    pub second: Vec<f32>,
}

impl<B: Backend> Adam<B> {
    /// An optimiser for these parameters (those that are not trainable are passed over), its moments zero.
    ///
    /// # Errors
    /// The device has no memory left.
    pub fn new(learning_rate: f64, parameters: &[&Parameter<B>], device: &B) -> Result<Self> {
        let zeros = |p: &Parameter<B>| {
            Storage::<f32>::try_alloc_len(device, p.len()).map_err(device_error("allocate Adam's moments"))
        };
        let moments = parameters
            .iter()
            .filter(|p| p.trainable)
            .map(|p| Ok(Moments { name: p.name.clone(), first: zeros(p)?, second: zeros(p)?, rate: 1.0 }))
            .collect::<Result<_>>()?;
        let pool = device.pool().map_err(device_error("allocate Adam's moments"))?;
        Ok(Self { device: device.clone(), pool, learning_rate, weight_decay: 0.0, step: 0, moments })
    }

    /// Takes `learning rate · weight_decay` of the kernels and matrices away with each step.
    pub(crate) fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Gives each parameter a learning rate of its own, as a fraction of the step's, by its name.
    pub(crate) fn with_rates(mut self, rate: impl Fn(&str) -> f64) -> Self {
        self.moments.iter_mut().for_each(|moments| moments.rate = rate(&moments.name));
        self
    }

    /// Steps taken so far.
    pub(crate) fn step(&self) -> u32 {
        self.step
    }

    /// The learning rate of the next step.
    pub(crate) fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Changes the learning rate of the steps to come.
    pub(crate) fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// One step. `parameters` are those given to [`Adam::new`], in the same order.
    ///
    /// # Errors
    /// Other parameters, or a failure of the device.
    pub fn update(&mut self, parameters: Vec<&mut Parameter<B>>, gradients: &mut Gradients<f32, B>) -> Result<()> {
        self.step += 1;
        let trainable = parameters.into_iter().filter(|p| p.trainable);
        let update = |(parameter, moments)| parameter_update(parameter, moments, self.weight_decay);
        let updates = trainable.zip(&mut self.moments).map(update).collect::<Result<_>>()?;
        let step = Step { count: self.step, learning_rate: self.learning_rate, betas: BETAS, epsilon: EPSILON };
        self.device.adam(&self.pool, &step, updates, gradients).map_err(device_error("Adam's step"))
    }

    /// Copies of all moments, in the order of the trainable parameters.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn save(&self) -> Result<Vec<SavedMoments>> {
        let read =
            |storage: &Slot<B>| self.device.storage_to_host(storage).map_err(device_error("read Adam's moments"));
        let saved = |m: &Moments<B>| {
            Ok(SavedMoments { name: m.name.clone(), first: read(&m.first)?, second: read(&m.second)? })
        };
        self.moments.iter().map(saved).collect()
    }

    /// Goes back to the state after `step` steps.
    ///
    /// # Errors
    /// Moments of other parameters, or the device failed.
    pub(crate) fn restore(&mut self, step: u32, saved: &[SavedMoments]) -> Result<()> {
        let len = |storage: &Slot<B>| Storage::<f32>::len(&self.device, storage);
        let fits = |m: &Moments<B>, s: &SavedMoments| {
            m.name == s.name && [s.first.len(), s.second.len()] == [len(&m.first), len(&m.second)]
        };
        if saved.len() != self.moments.len() || !self.moments.iter().zip(saved).all(|(m, s)| fits(m, s)) {
            return Err(Error::new("the saved optimiser state is not of this network"));
        }
        let failed = || device_error("write Adam's moments");
        for (moments, saved) in self.moments.iter_mut().zip(saved) {
            self.device.storage_from_host(&mut moments.first, &saved.first).map_err(failed())?;
            self.device.storage_from_host(&mut moments.second, &saved.second).map_err(failed())?;
        }
        self.step = step;
        Ok(())
    }
}

/// What the step needs of a parameter. Only kernels and matrices decay.
fn parameter_update<'a, B: Backend>(
    parameter: &'a mut Parameter<B>,
    moments: &'a mut Moments<B>,
    weight_decay: f64,
) -> Result<ParameterUpdate<'a, B>> {
    if parameter.name != moments.name {
        return Err(Error::new(format!("Adam holds moments of `{}`, not of `{}`", moments.name, parameter.name)));
    }
    let weight_decay = if parameter.shape.len() > 1 { weight_decay } else { 0.0 };
    let Moments { first, second, rate, .. } = moments;
    Ok(ParameterUpdate { parameter: &mut parameter.tensor, first, second, weight_decay, rate: *rate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::tensor::Cpu;

    #[test]
    fn weight_decay_takes_its_share_of_kernels_and_matrices_and_nothing_of_vectors() {
        let device = Cpu::default();
        let parameter =
            |name: &str, shape: &[usize]| Parameter::new(name.into(), shape, vec![2.0; 4], true, &device).unwrap();
        let mut parameters =
            [parameter("conv.weight", &[2, 2, 1, 1]), parameter("dense.weight", &[2, 2]), parameter("bias", &[4])];
        let adam = Adam::new(0.1, &parameters.iter().collect::<Vec<_>>(), &device).unwrap();
        // Gradients are zero, so that Adam itself moves nothing.
        adam.with_weight_decay(0.5).update(parameters.iter_mut().collect(), &mut Gradients::leaky()).unwrap();
        for (parameter, expected) in parameters.iter().zip([1.9, 1.9, 2.0]) {
            assert_eq!(parameter.values(), [expected; 4], "{}", parameter.name);
        }
    }
}
