//! A normalisation whose statistics stand still, taken into the convolution before it.
//!
//! ```text
//! f = γ[o] / sqrt(σ²[o] + ε)      w'[o,…] = f · w[o,…]      b'[o] = f · (b[o] - μ[o]) + β[o]
//! ```
//! for any kernel whose rows are output channels, depthwise ones too. In double precision, rounded once.

/// A normalisation in inference, a value a channel each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statistics<'a> {
    /// γ.
    pub weight: &'a [f32],
    /// β.
    pub bias: &'a [f32],
    /// μ.
    pub mean: &'a [f32],
    /// σ².
    pub variance: &'a [f32],
    /// ε.
    pub epsilon: f32,
}

/// A convolution's parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Folded {
    /// `[o, …]`.
    pub weight: Vec<f32>,
    /// `[o]`.
    pub bias: Vec<f32>,
}

/// Weight `[o, …]` and bias `[o]` of the convolution that computes what convolution and normalisation do.
pub(crate) fn fold(weight: &[f32], bias: Option<&[f32]>, of: &Statistics<'_>) -> Folded {
    let row = weight.len() / of.weight.len().max(1);
    let factor = |o: usize| f64::from(of.weight[o]) / (f64::from(of.variance[o]) + f64::from(of.epsilon)).sqrt();
    let scaled =
        |(o, row): (usize, &[f32])| -> Vec<f32> { row.iter().map(|&w| (factor(o) * f64::from(w)) as f32).collect() };
    let shifted = |o: usize| {
        let bias = bias.map_or(0.0, |bias| f64::from(bias[o]));
        (factor(o) * (bias - f64::from(of.mean[o])) + f64::from(of.bias[o])) as f32
    };
    Folded {
        weight: weight.chunks_exact(row.max(1)).enumerate().flat_map(scaled).collect(),
        bias: (0..of.weight.len()).map(shifted).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // σ² + ε = 4 and 0.25.
        let of = Statistics {
            weight: &[3.0, 1.0],
            bias: &[0.5, -1.0],
            mean: &[2.0, 0.25],
            variance: &[3.75, 0.0],
            epsilon: 0.25,
        };
        let folded = fold(&[1.0, 2.0, -4.0, 8.0], Some(&[1.0, 0.0]), &of);
        assert_eq!(folded, Folded { weight: vec![1.5, 3.0, -8.0, 16.0], bias: vec![-1.0, -1.5] });
        assert_eq!(fold(&[1.0, 2.0, -4.0, 8.0], None, &of).bias, [-2.5, -1.5]);
    }
}
