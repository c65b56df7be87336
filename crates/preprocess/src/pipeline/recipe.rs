//! What a model's training does beside plain steps on plain images: rare classes, mixed images, optimisers.

use indexmap::IndexMap;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What moves the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerChoice {
    /// Adam (Kingma and Ba 2015), with decoupled weight decay.
    #[default]
    Adam,
    /// Stochastic gradient descent with Nesterov's momentum (Sutskever et al. 2013).
    Sgd,
}

/// Which images an epoch shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampler {
    /// Each once.
    #[default]
    Shuffled,
    /// As many as there are, of every class as many: images of rare classes several times, of frequent ones some.
    Balanced,
}

/// The cosine falls to 0 over a cycle of epochs and begins anew (Loshchilov and Hutter 2017).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restarts {
    /// Epochs of the first cycle, after the warm-up.
    pub epochs: usize,
    /// How many times as long as the one before each further cycle is. Default 2.
    #[serde(default = "default_factor")]
    pub factor: usize,
}

/// Pairs of images blended, labels with them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixUp {
    /// An image's share is drawn from Beta(alpha, alpha). Default 0.2.
    pub alpha: f64,
    /// Of each image. Default 0.5.
    pub probability: f64,
}

/// A rectangle of another image, of whose label the share follows from the area.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CutMix {
    /// The share of the image that stays is drawn from Beta(alpha, alpha). Default 1.
    pub alpha: f64,
    /// Of each image. Default 0.5.
    pub probability: f64,
}

/// A grey rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomErasing {
    /// Of each image. Default 0.25.
    pub probability: f64,
    /// Its share of the image is drawn from [low, high]. Default [0.02, 0.33].
    pub area: [f64; 2],
}

impl Default for MixUp {
    fn default() -> Self {
        Self { alpha: 0.2, probability: 0.5 }
    }
}

impl Default for CutMix {
    fn default() -> Self {
        Self { alpha: 1.0, probability: 0.5 }
    }
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { probability: 0.25, area: [0.02, 0.33] }
    }
}

/// How much an image of each class counts.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// The less the more images its class has: in proportion to 1 / images.
    Balanced,
    /// In proportion to (1 - β) / (1 - β^images), β being 0.999 (effective number of samples, Cui et al. 2019).
    Effective,
    /// As given; 1 where a class is not.
    Given(IndexMap<String, f64>),
}

/// The words of the key.
const CHOICES: &[&str] = &["balanced", "effective"];

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::Effective => serializer.serialize_str("effective"),
            Self::Given(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClassWeightsVisitor)
    }
}

struct ClassWeightsVisitor;

impl<'de> Visitor<'de> for ClassWeightsVisitor {
    type Value = ClassWeights;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`balanced`, `effective`, or a section with a number for a class")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ClassWeights, E> {
        match text {
            "balanced" => Ok(ClassWeights::Balanced),
            "effective" => Ok(ClassWeights::Effective),
            other => Err(E::unknown_variant(other, CHOICES)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ClassWeights, A::Error> {
        let mut weights = IndexMap::new();
        while let Some((class, weight)) = map.next_entry()? {
            weights.insert(class, weight);
        }
        Ok(ClassWeights::Given(weights))
    }
}

fn default_factor() -> usize {
    2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_weights_are_read_as_they_are_written() {
        let given = ClassWeights::Given([("cat".to_owned(), 2.0), ("dog".to_owned(), 0.5)].into_iter().collect());
        for (weights, text) in [
            (ClassWeights::Balanced, "\"balanced\""),
            (ClassWeights::Effective, "\"effective\""),
            (given, "{\"cat\":2.0,\"dog\":0.5}"),
        ] {
            assert_eq!(serde_json::to_string(&weights).unwrap(), text);
            assert_eq!(serde_json::from_str::<ClassWeights>(text).unwrap(), weights);
        }
        for text in ["\"even\"", "2", "{\"cat\":\"much\"}", "[1, 2]"] {
            assert!(serde_json::from_str::<ClassWeights>(text).is_err(), "{text}");
        }
    }
}
