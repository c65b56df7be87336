//! How the bytes of images become numbers.

/// How the bytes of images become numbers: `(byte / 255 - mean) / std` of each channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standardization {
    /// Red, green, blue, of values in 0 to 1.
    pub mean: [f32; 3],
    /// Their standard deviation.
    pub std: [f32; 3],
}

impl Default for Standardization {
    /// `byte / 255`.
    fn default() -> Self {
        Self { mean: [0.0; 3], std: [1.0; 3] }
    }
}

impl Standardization {
    /// Of the images of ImageNet, as torchvision and timm have it.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

    /// From -1 to 1, as TensorFlow's networks have it.
    pub const INCEPTION: Self = Self { mean: [0.5; 3], std: [0.5; 3] };

    /// Factor and summand of each channel's bytes.
    pub(crate) fn factors(&self) -> [[f32; 2]; 3] {
        let of = |channel: usize| {
            let [mean, std] = [self.mean[channel], self.std[channel]].map(f64::from);
            [(1.0 / (255.0 * std)) as f32, (-mean / std) as f32]
        };
        [of(0), of(1), of(2)]
    }

    /// Grey, half-way between black and white.
    pub(crate) fn grey(&self) -> [f32; 3] {
        self.factors().map(|[scale, shift]| 127.5 * scale + shift)
    }
}
