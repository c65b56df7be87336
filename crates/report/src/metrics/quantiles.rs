//! Quantiles of distributions.

/// The standard normal distribution's 97.5 % quantile.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// Student's 97.5 % quantile; infinite without a degree of freedom. From three on by the Cornish-Fisher expansion
/// (Abramowitz and Stegun 26.7.5), within 0.2 %.
pub(super) fn student(freedom: usize) -> f64 {
    let (n, z2) = (freedom as f64, Z * Z);
    match freedom {
        0 => f64::INFINITY,
        1 => 12.706_204_736,
        2 => 4.302_652_730,
        _ => {
            let first = (z2 + 1.0) / 4.0;
            let second = ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
            let third = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
            let fourth = ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92_160.0;
            Z * (1.0 + (first + (second + (third + fourth / n) / n) / n) / n)
        }
    }
}

/// How many standard errors are exceeded with this probability, from below one half (Abramowitz and Stegun 26.2.23,
/// within 0.0005).
pub fn normal_quantile(probability: f64) -> f64 {
    let t = (-2.0 * probability.clamp(f64::MIN_POSITIVE, 0.5).ln()).sqrt();
    let above = (0.010_328 * t + 0.802_853) * t + 2.515_517;
    let below = ((0.001_308 * t + 0.189_269) * t + 1.432_788) * t + 1.0;
    t - above / below
}
