//! Adam or stochastic gradient descent over all trainable parameters of a network, with decoupled weight decay and
//! clipped gradients if asked for.

use crate::ops::Backend;
use crate::ops::gradient_norm::clip_gradients;
use crate::ops::{adam, sgd};
use crate::tensor::failure::device_error;
use crate::tensor::memory::{Slot, Vector};
use crate::tensor::parameter::Parameter;
use dfdx::tensor::{Gradients, Storage};
use preprocess::pipeline::{ModelSettings, OptimizerChoice};
use preprocess::{Error, Result};

/// Decay rates of the moments' moving averages, as in the paper and everywhere else.
pub(crate) const BETAS: [f64; 2] = [0.9, 0.999];

/// Added to the root of the second moment: Keras' default. PyTorch's is 1e-8.
pub(crate) const EPSILON: f64 = 1e-7;

/// What a gradient moves its parameter by.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    /// Adam (Kingma and Ba 2015) with bias correction.
    Adam,
    /// Nesterov's momentum.
    Sgd { momentum: f64 },
}

/// Moves parameters. Weight decay is decoupled from the gradient (AdamW, Loshchilov and Hutter 2019; SGDW likewise): a
/// step takes `learning rate · decay` of each weight away, as in PyTorch's `AdamW`. Only convolution kernels and dense
/// matrices decay; biases and batch normalisation's parameters do not, as is usual.
#[derive(Debug)]
pub struct Optimizer<B: Backend> {
    device: B,
    pool: B::Pool,
    rule: Rule,
    learning_rate: f64,
    weight_decay: f64,
    /// The largest norm of all gradients together; 0 for any.
    clip_norm: f64,
    step: u32,
    moments: Vec<Moments<B>>,
}

/// What is remembered of one parameter's gradients.
#[derive(Debug)]
struct Moments<B: Backend> {
    name: String,
    /// Adam's moving average, or the momentum.
    first: Slot<B>,
    /// Adam's moving average of the square; empty under SGD.
    second: Option<Slot<B>>,
    /// The parameter's learning rate, as a fraction of the step's.
    rate: f64,
}

/// What is remembered of one parameter's gradients, on the host: for checkpoints.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SavedMoments {
    /// The parameter's name.
    pub name: String,
    /// Adam's mean of the gradient, or the momentum.
    pub first: Vec<f32>,
    /// Adam's mean of the gradient's square.
    pub second: Option<Vec<f32>>,
}

impl<B: Backend> Optimizer<B> {
    /// Adam for these parameters (those that are not trainable are passed over), its moments zero.
    ///
    /// # Errors
    /// The device has no memory left.
    pub fn adam(learning_rate: f64, parameters: &[&Parameter<B>], device: &B) -> Result<Self> {
        Self::new(Rule::Adam, learning_rate, parameters, device)
    }

    /// What the settings say.
    ///
    /// # Errors
    /// The device has no memory left.
    pub(crate) fn of(settings: &ModelSettings, parameters: &[&Parameter<B>], device: &B) -> Result<Self> {
        let rule = match settings.optimizer {
            OptimizerChoice::Adam => Rule::Adam,
            OptimizerChoice::Sgd => Rule::Sgd { momentum: settings.momentum },
        };
        let of = Self::new(rule, settings.learning_rate, parameters, device)?;
        Ok(Self { weight_decay: settings.weight_decay, clip_norm: settings.clip_norm, ..of })
    }

    fn new(rule: Rule, learning_rate: f64, parameters: &[&Parameter<B>], device: &B) -> Result<Self> {
        let zeros = |p: &Parameter<B>| {
            Storage::<f32>::try_alloc_len(device, p.len()).map_err(device_error("allocate the optimiser's moments"))
        };
        let moments = parameters
            .iter()
            .filter(|p| p.trainable)
            .map(|p| {
                let second = (rule == Rule::Adam).then(|| zeros(p)).transpose()?;
                Ok(Moments { name: p.name.clone(), first: zeros(p)?, second, rate: 1.0 })
            })
            .collect::<Result<_>>()?;
        let pool = device.pool().map_err(device_error("allocate the optimiser's moments"))?;
        let (device, weight_decay, clip_norm) = (device.clone(), 0.0, 0.0);
        Ok(Self { device, pool, rule, learning_rate, weight_decay, clip_norm, step: 0, moments })
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

    /// One step. `parameters` are those that it was made for, in the same order.
    ///
    /// # Errors
    /// Other parameters, or a failure of the device.
    pub fn update(&mut self, parameters: Vec<&mut Parameter<B>>, gradients: &mut Gradients<f32, B>) -> Result<()> {
        self.step += 1;
        let trainable: Vec<_> = parameters.into_iter().filter(|p| p.trainable).collect();
        let expected = self.moments.iter().map(|moments| moments.name.as_str());
        if !trainable.iter().map(|parameter| parameter.name.as_str()).eq(expected) {
            return Err(Error::new("the optimiser was made for other parameters"));
        }
        if self.clip_norm > 0.0 {
            let all: Vec<&Vector<B>> = trainable.iter().map(|parameter| &parameter.tensor).collect();
            clip_gradients(&self.device, &self.pool, &all, gradients, self.clip_norm)
                .map_err(device_error("clip the gradients"))?;
        }
        match self.rule {
            Rule::Adam => self.adam_step(trainable, gradients),
            Rule::Sgd { momentum } => self.sgd_step(momentum, trainable, gradients),
        }
    }

    fn adam_step(&mut self, parameters: Vec<&mut Parameter<B>>, gradients: &mut Gradients<f32, B>) -> Result<()> {
        let updates = parameters.into_iter().zip(&mut self.moments).filter_map(|(parameter, moments)| {
            let (weight_decay, rate) = (decay_of(parameter, self.weight_decay), moments.rate);
            let (first, second) = (&mut moments.first, moments.second.as_mut()?);
            Some(adam::ParameterUpdate { parameter: &mut parameter.tensor, first, second, weight_decay, rate })
        });
        let (count, learning_rate) = (self.step, self.learning_rate);
        let step = adam::Step { count, learning_rate, betas: BETAS, epsilon: EPSILON };
        self.device.adam(&self.pool, &step, updates.collect(), gradients).map_err(device_error("Adam's step"))
    }

    fn sgd_step(
        &mut self,
        momentum: f64,
        parameters: Vec<&mut Parameter<B>>,
        gradients: &mut Gradients<f32, B>,
    ) -> Result<()> {
        let updates = parameters.into_iter().zip(&mut self.moments).map(|(parameter, moments)| {
            let (weight_decay, rate) = (decay_of(parameter, self.weight_decay), moments.rate);
            let (parameter, momentum) = (&mut parameter.tensor, &mut moments.first);
            sgd::ParameterUpdate { parameter, momentum, weight_decay, rate }
        });
        let step = sgd::Step { learning_rate: self.learning_rate, momentum };
        self.device.sgd(&self.pool, &step, updates.collect(), gradients).map_err(device_error("SGD's step"))
    }

    /// Copies of all that is remembered, in the order of the trainable parameters.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn save(&self) -> Result<Vec<SavedMoments>> {
        let read = |storage: &Slot<B>| {
            self.device.storage_to_host(storage).map_err(device_error("read the optimiser's moments"))
        };
        let saved = |m: &Moments<B>| {
            let second = m.second.as_ref().map(read).transpose()?;
            Ok(SavedMoments { name: m.name.clone(), first: read(&m.first)?, second })
        };
        self.moments.iter().map(saved).collect()
    }

    /// Goes back to the state after `step` steps.
    ///
    /// # Errors
    /// What another network or rule remembers, or the device failed.
    pub(crate) fn restore(&mut self, step: u32, saved: &[SavedMoments]) -> Result<()> {
        let len = |storage: &Slot<B>| Storage::<f32>::len(&self.device, storage);
        let fits = |m: &Moments<B>, s: &SavedMoments| {
            let second = (s.second.as_ref().map(Vec::len), m.second.as_ref().map(len));
            m.name == s.name && s.first.len() == len(&m.first) && second.0 == second.1
        };
        if saved.len() != self.moments.len() || !self.moments.iter().zip(saved).all(|(m, s)| fits(m, s)) {
            return Err(Error::new("the saved optimiser state is not of this network"));
        }
        let failed = || device_error("write the optimiser's moments");
        for (moments, saved) in self.moments.iter_mut().zip(saved) {
            self.device.storage_from_host(&mut moments.first, &saved.first).map_err(failed())?;
            if let (Some(second), Some(saved)) = (&mut moments.second, &saved.second) {
                self.device.storage_from_host(second, saved).map_err(failed())?;
            }
        }
        self.step = step;
        Ok(())
    }
}

/// Only kernels and matrices decay.
fn decay_of<B: Backend>(parameter: &Parameter<B>, weight_decay: f64) -> f64 {
    if parameter.shape.len() > 1 { weight_decay } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::tensor::Cpu;
    use preprocess::pipeline::Architecture;

    #[test]
    fn weight_decay_takes_its_share_of_kernels_and_matrices_and_nothing_of_vectors() {
        let device = Cpu::default();
        let parameter =
            |name: &str, shape: &[usize]| Parameter::new(name.into(), shape, vec![2.0; 4], true, &device).unwrap();
        let mut parameters =
            [parameter("conv.weight", &[2, 2, 1, 1]), parameter("dense.weight", &[2, 2]), parameter("bias", &[4])];
        for (steps, optimizer) in [(1, OptimizerChoice::Adam), (2, OptimizerChoice::Sgd)] {
            let settings = ModelSettings {
                optimizer,
                learning_rate: 0.1,
                weight_decay: 0.5,
                ..ModelSettings::new(Architecture::Resnet)
            };
            let mut optimizer = Optimizer::of(&settings, &parameters.iter().collect::<Vec<_>>(), &device).unwrap();
            // Gradients are zero, so that nothing else moves.
            optimizer.update(parameters.iter_mut().collect(), &mut Gradients::leaky()).unwrap();
            let decayed = 2.0 * 0.95f32.powi(steps);
            for (parameter, expected) in parameters.iter().zip([decayed, decayed, 2.0]) {
                assert!(parameter.values().iter().all(|value| (value - expected).abs() < 1e-6), "{}", parameter.name);
            }
        }
    }

    #[test]
    fn gradients_are_clipped_over_all_parameters() {
        let device = Cpu::default();
        let parameter = |name: &str| Parameter::new(name.into(), &[1], vec![0.0], true, &device).unwrap();
        let mut parameters = [parameter("a"), parameter("b")];
        let settings = ModelSettings {
            optimizer: OptimizerChoice::Sgd,
            momentum: 0.0,
            learning_rate: 1.0,
            clip_norm: 1.0,
            ..ModelSettings::new(Architecture::Resnet)
        };
        let mut optimizer = Optimizer::of(&settings, &parameters.iter().collect::<Vec<_>>(), &device).unwrap();
        let mut gradients = Gradients::leaky();
        gradients.get_or_alloc_mut(&parameters[0].tensor).unwrap()[0] = 30.0;
        gradients.get_or_alloc_mut(&parameters[1].tensor).unwrap()[0] = -40.0;
        optimizer.update(parameters.iter_mut().collect(), &mut gradients).unwrap();
        for (parameter, expected) in parameters.iter().zip([-0.6f32, 0.8]) {
            assert!((parameter.values()[0] - expected).abs() < 1e-6, "{}: {:?}", parameter.name, parameter.values());
        }
    }
}
