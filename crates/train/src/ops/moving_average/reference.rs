//! The average in a plain loop, in double precision.

/// Moves `average` towards `parameter`.
pub fn step(decay: f64, parameter: &[f32], average: &mut [f32]) {
    for (average, &parameter) in average.iter_mut().zip(parameter) {
        *average = (decay * f64::from(*average) + (1.0 - decay) * f64::from(parameter)) as f32;
    }
}
