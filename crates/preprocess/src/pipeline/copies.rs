//! How many augmented copies of a training image there are, and when they are made.

use super::limits::COPIES;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The key `preprocess.augment.copies`: a number, or `fly`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// So many are made once and stored beside the image.
    Stored(usize),
    /// None is stored: training makes a new one of every image for every epoch.
    Fly,
}

/// The word of the key.
const FLY: &str = "fly";

impl Copies {
    /// Copies that the shards hold beside the image itself.
    pub fn stored(self) -> usize {
        match self {
            Self::Stored(copies) => copies,
            Self::Fly => 0,
        }
    }

    /// Whether there are any.
    pub fn are_any(self) -> bool {
        self != Self::Stored(0)
    }

    /// As many as there are, `most` at most.
    pub(crate) fn up_to(self, most: usize) -> usize {
        match self {
            Self::Stored(copies) => copies.min(most),
            Self::Fly => most,
        }
    }
}

impl Default for Copies {
    fn default() -> Self {
        Self::Stored(0)
    }
}

impl Serialize for Copies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Stored(copies) => serializer.serialize_u64(*copies as u64),
            Self::Fly => serializer.serialize_str(FLY),
        }
    }
}

impl<'de> Deserialize<'de> for Copies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CopiesVisitor)
    }
}

struct CopiesVisitor;

impl Visitor<'_> for CopiesVisitor {
    type Value = Copies;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}, or `{FLY}`", COPIES.start(), COPIES.end())
    }

    fn visit_u64<E: Error>(self, copies: u64) -> Result<Copies, E> {
        let stored = usize::try_from(copies).map(Copies::Stored);
        stored.map_err(|_| E::invalid_value(Unexpected::Unsigned(copies), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Copies, E> {
        match text {
            FLY => Ok(Copies::Fly),
            other => Err(E::invalid_type(Unexpected::Str(other), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_as_it_is_written() {
        for (copies, text) in [(Copies::Stored(0), "0"), (Copies::Stored(12), "12"), (Copies::Fly, "\"fly\"")] {
            assert_eq!(serde_json::to_string(&copies).unwrap(), text);
            assert_eq!(serde_json::from_str::<Copies>(text).unwrap(), copies);
        }
        for text in ["-1", "1.5", "\"flies\"", "null", "true", "[1]", "{}"] {
            assert!(serde_json::from_str::<Copies>(text).is_err(), "{text}");
        }
        assert_eq!([Copies::Stored(3).up_to(5), Copies::Stored(7).up_to(5), Copies::Fly.up_to(5)], [3, 5, 5]);
    }
}
