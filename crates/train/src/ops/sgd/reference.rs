//! The step in a plain loop, in double precision.

use super::Step;

/// Moves `parameter` and its momentum.
pub fn step(step: &Step, weight_decay: f64, gradient: &[f32], parameter: &mut [f32], momentum: &mut [f32]) {
    for (at, &gradient) in gradient.iter().enumerate() {
        let (gradient, weight) = (f64::from(gradient), f64::from(parameter[at]));
        let m = step.momentum * f64::from(momentum[at]) + gradient;
        let change = gradient + step.momentum * m + weight_decay * weight;
        momentum[at] = m as f32;
        parameter[at] = (weight - step.learning_rate * change) as f32;
    }
}
