//! The pipeline file: one YAML document that describes one pipeline, for all three stages.
//!
//! [`args`] is how the programs are told of it. Text becomes values with their `<<` merged ([`merge`]), `--set` is put
//! over them ([`overrides`]), they become [`settings`] ([`reader`]) whose values are possible ([`check`], within
//! [`limits`]): [`load`] puts that together. A model's
//! settings are in [`model`] and [`recipe`]. Whatever is wrong on the way is a [`problem`], told with the key's line
//! ([`lines`], [`sources`]).

pub mod args;
mod augmentation;
mod check;
mod check_model;
mod copies;
mod device;
mod group_by;
pub mod limits;
mod lines;
mod load;
mod merge;
mod model;
mod overrides;
mod problem;
mod reader;
mod recipe;
mod settings;
mod sources;
mod split;
mod tune;

pub use augmentation::{AugmentSettings, BlurSettings, ColorSettings, CropSettings, Fill, RandAugmentSettings};
pub use copies::Copies;
pub use device::{DeviceChoice, Precision};
pub(crate) use group_by::{GROUP, GroupBy};
pub use model::*;
pub(crate) use problem::nearest_few;
pub use recipe::{ClassWeights, CutMix, MixUp, OptimizerChoice, RandomErasing, Restarts, Sampler};
pub use settings::*;
pub use split::Split;
pub use tune::Tune;
