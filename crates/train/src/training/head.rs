//! The head alone, fitted to convergence on features that stand still: multinomial logistic regression.
//!
//! ```text
//! f(W, b) = 1/N Σ_n -ln softmax(W z_n + b)[label_n] + λ/2 ‖W‖²        z = (x - μ) / σ of each feature
//! ```
//! Where the settings make up for rare classes, the loss is theirs. The objective is convex, so there is one answer whatever the beginning; L-BFGS (Nocedal 1980) walks there with a
//! whole pass over the features a step. What decides the score is λ: it is chosen on the validation images, and where
//! there are none on a fifth of the training images, held back as whole groups of near-copies. Features are brought to
//! mean 0 and deviation 1 for the fit, so that one λ fits all of them and the walk is short; the head that comes out
//! takes them as they are.

use super::features::Features;
use crate::model::score::Score;
use crate::ops::Backend;
use crate::ops::cross_entropy::{ImageScore, cross_entropy};
use crate::ops::dense::dense;
use crate::tensor::arrays::Array;
use crate::tensor::failure::device_error;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use crate::training::lbfgs::{self, Objective};
use crate::training::rare_classes::RareClasses;
use dfdx::tensor_ops::Backward;
use preprocess::stage::interrupt;
use preprocess::{Error, Result};

/// λ of the fits, from strong to weak. Each begins where the one before it ended.
const PENALTIES: [f64; 9] = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003];

/// Rows that the device computes with at once.
const ROWS: usize = 4096;

/// Deviations below this part of the mean deviation are of features that hardly change: they are not blown up.
const SMALLEST_DEVIATION: f64 = 0.01;

/// A fitted head.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// `[classes, features]`.
    pub weight: Vec<f32>,
    /// `[classes]`.
    pub bias: Vec<f32>,
    /// λ that was chosen.
    pub penalty: f64,
    /// What each pass over the features saw, on the way to this head.
    pub path: Vec<Passed>,
}

/// A step of the fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Passed {
    /// Over the training images.
    pub training: Score,
    /// Over the validation images, if there are any.
    pub validation: Score,
    /// Length of the step along its direction.
    pub step: f64,
}

impl Head {
    /// Under the names of a network's head.
    pub(crate) fn arrays(&self, name: &str) -> [Array; 2] {
        let (classes, inputs) = (self.bias.len(), self.weight.len() / self.bias.len().max(1));
        let array = |part: &str, shape: Vec<usize>, values: &[f32]| Array {
            name: format!("{name}.{part}"),
            shape,
            values: values.to_vec(),
        };
        [array("weight", vec![classes, inputs], &self.weight), array("bias", vec![classes], &self.bias)]
    }
}

/// Fits the head to `training`, with the λ that does best on `validation`.
///
/// # Errors
/// The device failed, the features overflow, or the run is interrupted.
pub(crate) fn fit<B: Backend>(
    training: &Features,
    validation: &Features,
    classes: (usize, &RareClasses),
    device: &B,
) -> Result<Head> {
    let penalty = choose_penalty(training, validation, classes, device)?;
    let scaling = Scaling::of(training);
    fit_with(penalty, &scaling, training, validation, classes, device)
}

/// The λ whose fit to `training` does best on `validation`; where there are no validation images, on a fifth of the
/// training images.
///
/// # Errors
/// As [`fit`].
pub(crate) fn choose_penalty<B: Backend>(
    training: &Features,
    validation: &Features,
    classes: (usize, &RareClasses),
    device: &B,
) -> Result<f64> {
    let scaling = Scaling::of(training);
    if !validation.labels.is_empty() {
        return choose(&scaling, training, validation, classes, device);
    }
    let (most, fifth) = training.without_a_fifth();
    choose(&scaling, &most, &fifth, classes, device)
}

/// The head of a λ that is given.
///
/// # Errors
/// As [`fit`].
pub(crate) fn fit_at<B: Backend>(
    penalty: f64,
    training: &Features,
    classes: (usize, &RareClasses),
    device: &B,
) -> Result<Head> {
    fit_with(penalty, &Scaling::of(training), training, &training.select(&[]), classes, device)
}

/// The head of one λ.
fn fit_with<B: Backend>(
    penalty: f64,
    scaling: &Scaling,
    training: &Features,
    validation: &Features,
    classes: (usize, &RareClasses),
    device: &B,
) -> Result<Head> {
    let (images, unseen) = (Rows::new(scaling, training, device)?, Rows::new(scaling, validation, device)?);
    let mut objective = HeadObjective::new(images, classes, penalty, device)?;
    let mut path = Vec::new();
    let (classes, _) = classes;
    let point = lbfgs::minimize(&mut objective, vec![0.0; classes * (training.dim + 1)], |objective, point, step| {
        interrupt::check()?;
        let validation = objective.score(point, &unseen)?;
        path.push(Passed { training: objective.last, validation, step });
        Ok(())
    })?;
    if path.is_empty() {
        // All is told by the classes' shares, or there is one row: the start is the answer.
        let validation = objective.score(&point, &unseen)?;
        path.push(Passed { training: objective.last, validation, step: 0.0 });
    }
    let (weight, bias) = scaling.undone(&point, classes);
    if weight.iter().chain(&bias).any(|value| !value.is_finite()) {
        return Err(Error::new("the head could not be fitted: its weights are not finite")
            .because("the features are so large that sums overflow")
            .hint("use other pretrained weights"));
    }
    Ok(Head { weight, bias, penalty, path })
}

/// The λ whose fit to `training` has the least loss on `validation`.
fn choose<B: Backend>(
    scaling: &Scaling,
    training: &Features,
    validation: &Features,
    classes: (usize, &RareClasses),
    device: &B,
) -> Result<f64> {
    let (images, unseen) = (Rows::new(scaling, training, device)?, Rows::new(scaling, validation, device)?);
    let mut objective = HeadObjective::new(images, classes, PENALTIES[0], device)?;
    let mut point = vec![0.0; classes.0 * (training.dim + 1)];
    let (mut best, mut chosen) = (f64::INFINITY, PENALTIES[0]);
    for penalty in PENALTIES {
        objective.penalty = penalty;
        point = lbfgs::minimize(&mut objective, point, |_, _, _| interrupt::check())?;
        let loss = objective.loss_sum(&point, &unseen)?;
        // Weaker penalties only get worse once one has.
        if loss < best {
            (best, chosen) = (loss, penalty);
        } else if loss > 1.1 * best {
            break;
        }
    }
    Ok(chosen)
}

/// Mean and deviation of each feature.
struct Scaling {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Scaling {
    fn of(features: &Features) -> Self {
        let (dim, count) = (features.dim, features.labels.len().max(1) as f64);
        let mut mean = vec![0.0; dim];
        for row in features.values.chunks_exact(dim) {
            mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean.iter_mut().for_each(|sum| *sum /= count);
        let mut deviation = vec![0.0; dim];
        for row in features.values.chunks_exact(dim) {
            let squares = deviation.iter_mut().zip(row).zip(&mean);
            squares.for_each(|((sum, &value), mean)| *sum += (f64::from(value) - mean).powi(2));
        }
        deviation.iter_mut().for_each(|sum| *sum = (*sum / count).sqrt());
        let least = SMALLEST_DEVIATION * deviation.iter().sum::<f64>() / dim.max(1) as f64;
        // Features that never change are left out by a deviation of one: their z is 0.
        deviation.iter_mut().for_each(|d| *d = if *d > 0.0 { d.max(least) } else { 1.0 });
        Self { mean, deviation }
    }

    fn apply(&self, row: &[f32]) -> impl Iterator<Item = f32> {
        row.iter().zip(&self.mean).zip(&self.deviation).map(|((&v, mean), d)| ((f64::from(v) - mean) / d) as f32)
    }

    /// Weight and bias for features as they are, of a point in which the weight's rows come before the biases.
    fn undone(&self, point: &[f64], classes: usize) -> (Vec<f32>, Vec<f32>) {
        let dim = self.mean.len();
        let (weights, biases) = point.split_at(classes * dim);
        let mut weight = Vec::with_capacity(weights.len());
        let mut bias = Vec::with_capacity(classes);
        for (row, &intercept) in weights.chunks_exact(dim).zip(biases) {
            let rows = row.iter().zip(&self.mean).zip(&self.deviation);
            bias.push((intercept - rows.clone().map(|((w, mean), d)| w * mean / d).sum::<f64>()) as f32);
            weight.extend(rows.map(|((w, _), d)| (w / d) as f32));
        }
        (weight, bias)
    }
}

/// Scaled features on a device.
struct Rows<B: Backend> {
    chunks: Vec<(FeatureMap<B>, Vec<usize>)>,
    count: usize,
}

impl<B: Backend> Rows<B> {
    fn new(scaling: &Scaling, features: &Features, device: &B) -> Result<Self> {
        let (dim, pool) = (features.dim, device.pool().map_err(device_error("hold the features"))?);
        // Of an inference pass: nobody asks for the gradient by the features.
        let pass = Pass::infer(device, &pool);
        let chunk = |(values, labels): (&[f32], &[usize])| {
            let scaled: Vec<f32> = values.chunks_exact(dim).flat_map(|row| scaling.apply(row)).collect();
            Ok((FeatureMap::from_nchw(&scaled, [labels.len(), dim, 1, 1], &pass)?, labels.to_vec()))
        };
        let chunks = features.values.chunks(ROWS * dim).zip(features.labels.chunks(ROWS)).map(chunk);
        Ok(Self { chunks: chunks.collect::<Result<_>>()?, count: features.labels.len() })
    }
}

/// The objective over a device's rows.
struct HeadObjective<'a, B: Backend> {
    rows: Rows<B>,
    rare: &'a RareClasses,
    penalty: f64,
    weight: Parameter<B>,
    bias: Parameter<B>,
    device: &'a B,
    pool: B::Pool,
    /// Of the last point that was looked at.
    last: Score,
}

impl<'a, B: Backend> HeadObjective<'a, B> {
    fn new(rows: Rows<B>, (classes, rare): (usize, &'a RareClasses), penalty: f64, device: &'a B) -> Result<Self> {
        let dim = rows.chunks.first().map_or(0, |(map, _)| map.shape()[1]);
        let weight = Parameter::new("weight".into(), &[classes, dim], vec![0.0; classes * dim], true, device)?;
        let bias = Parameter::new("bias".into(), &[classes], vec![0.0; classes], true, device)?;
        let pool = device.pool().map_err(device_error("fit the head"))?;
        Ok(Self { rows, rare, penalty, weight, bias, device, pool, last: Score::default() })
    }

    fn set(&mut self, point: &[f64]) -> Result<()> {
        let values: Vec<f32> = point.iter().map(|&value| value as f32).collect();
        let (weight, bias) = values.split_at(self.weight.len());
        self.weight.set_values(weight)?;
        self.bias.set_values(bias)
    }

    /// Loss and hits over other rows; zero images where there are none.
    fn score(&mut self, point: &[f64], rows: &Rows<B>) -> Result<Score> {
        let mut score = Score::default();
        self.run(point, rows, |logits, labels| score.add(logits, labels))?;
        Ok(score)
    }

    /// The sum over other rows of the loss that is trained for.
    fn loss_sum(&mut self, point: &[f64], rows: &Rows<B>) -> Result<f64> {
        let (mut sum, rare) = (0.0, self.rare);
        self.run(point, rows, |logits, labels| sum += rare.loss_sum(logits, labels))?;
        Ok(sum)
    }

    fn run(&mut self, point: &[f64], rows: &Rows<B>, mut take: impl FnMut(&[f32], &[usize])) -> Result<()> {
        self.set(point)?;
        for (map, labels) in &rows.chunks {
            let mut pass = Pass::infer(self.device, &self.pool);
            take(&dense(map, &self.weight, &self.bias, false, &mut pass)?.to_nchw(self.device)?, labels);
        }
        Ok(())
    }
}

impl<B: Backend> Objective for HeadObjective<'_, B> {
    fn value_and_gradient(&mut self, point: &[f64]) -> Result<(f64, Vec<f64>)> {
        self.set(point)?;
        let (weights, count) = (self.weight.len(), self.rows.count as f64);
        let mut gradient = vec![0.0; point.len()];
        let (mut score, mut sum) = (Score::default(), 0.0);
        for (map, labels) in &self.rows.chunks {
            let mut pass = Pass::train(self.device, &self.pool, 0, 0);
            let logits = dense(map, &self.weight, &self.bias, false, &mut pass)?;
            let (loss, scores) = cross_entropy(&logits, &self.rare.targets(labels, 0.0), &mut pass)?;
            if *self.rare != RareClasses::default() {
                sum += self.rare.loss_sum(&logits.to_nchw(self.device)?, labels);
            }
            drop(logits);
            let gradients = loss.try_backward().map_err(device_error("fit the head"))?;
            // The loss is the mean over the chunk.
            let share = labels.len() as f64 / count;
            let parts = [(&self.weight, 0), (&self.bias, weights)];
            for (parameter, first) in parts {
                let values = gradients.get(&parameter.tensor).as_vec();
                gradient[first..].iter_mut().zip(values).for_each(|(sum, value)| *sum += share * f64::from(value));
            }
            let scores: Vec<ImageScore> = scores.read(labels, self.device)?;
            score.add_images(&scores, labels);
        }
        let penalized = &point[..weights];
        gradient.iter_mut().zip(penalized).for_each(|(sum, weight)| *sum += self.penalty * weight);
        let square: f64 = penalized.iter().map(|weight| weight * weight).sum();
        self.last = score;
        let loss = if *self.rare == RareClasses::default() { score.loss() } else { sum / count };
        Ok((loss + self.penalty / 2.0 * square, gradient))
    }
}

#[cfg(test)]
mod tests;
