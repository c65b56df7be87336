//! The step in a plain loop, in double precision but for β₁ and β₂.

use super::Step;

/// Moves `parameter` and the moments of its gradient.
pub fn step(
    step: &Step,
    weight_decay: f64,
    gradient: &[f32],
    parameter: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    // Rounded as everywhere: 1 - β₂ differs by 5e-5 of itself.
    let betas = step.betas.map(|beta| f64::from(beta as f32));
    let [beta1, beta2] = betas;
    let corrections = betas.map(|beta| 1.0 - beta.powi(step.count as i32));
    for (at, &gradient) in gradient.iter().enumerate() {
        let gradient = f64::from(gradient);
        let m = beta1 * f64::from(first[at]) + (1.0 - beta1) * gradient;
        let v = beta2 * f64::from(second[at]) + (1.0 - beta2) * gradient * gradient;
        let weight = f64::from(parameter[at]);
        let change = m / corrections[0] / ((v / corrections[1]).sqrt() + step.epsilon) + weight_decay * weight;
        (first[at], second[at]) = (m as f32, v as f32);
        parameter[at] = (weight - step.learning_rate * change) as f32;
    }
}
