//! The kinds of change, as a person tells them apart: for the contact sheet, which shows each by itself.

use crate::pipeline::{AugmentSettings, BlurSettings};

/// One kind of change, in the order in which a copy goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Crop,
    Warp,
    Policy,
    Color,
    Grayscale,
    Blur,
}

impl Family {
    /// The kinds that these settings use.
    pub(crate) fn of(settings: &AugmentSettings) -> Vec<Self> {
        let all = [Self::Crop, Self::Warp, Self::Policy, Self::Color, Self::Grayscale, Self::Blur];
        let plain = AugmentSettings { copies: settings.copies, fill: settings.fill, ..Default::default() };
        all.into_iter().filter(|family| family.alone(settings) != plain).collect()
    }

    /// The keys that it stands for.
    pub(crate) fn name(self, settings: &AugmentSettings) -> &'static str {
        match self {
            Self::Crop => "random_resized_crop",
            Self::Warp => "rotation, shift, shear, zoom, brightness, flip",
            Self::Policy if settings.trivial_augment => "trivial_augment",
            Self::Policy => "rand_augment",
            Self::Color => "color",
            Self::Grayscale => "grayscale",
            Self::Blur => "blur",
        }
    }

    /// The settings without all other kinds, and what has a probability for certain: for examples of it.
    pub(crate) fn alone(self, settings: &AugmentSettings) -> AugmentSettings {
        let plain = AugmentSettings { copies: settings.copies, fill: settings.fill, ..Default::default() };
        let certain = |blur: BlurSettings| BlurSettings { probability: 1.0, ..blur };
        match self {
            Self::Crop => AugmentSettings { random_resized_crop: settings.random_resized_crop, ..plain },
            Self::Warp => AugmentSettings {
                rotation: settings.rotation,
                shift: settings.shift,
                shear: settings.shear,
                zoom: settings.zoom,
                brightness: settings.brightness,
                horizontal_flip: settings.horizontal_flip,
                ..plain
            },
            Self::Policy => AugmentSettings {
                rand_augment: settings.rand_augment,
                trivial_augment: settings.trivial_augment,
                ..plain
            },
            Self::Color => AugmentSettings { color: settings.color, ..plain },
            Self::Grayscale => AugmentSettings { grayscale: if settings.grayscale > 0.0 { 1.0 } else { 0.0 }, ..plain },
            Self::Blur => {
                AugmentSettings { blur: settings.blur.filter(|blur| blur.probability > 0.0).map(certain), ..plain }
            }
        }
    }
}
