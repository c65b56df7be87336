//! What of a pretrained network is trained.

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The key `tune` of a model: `head`, `all`, or `last: N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tune {
    /// The last layer alone, fitted to convergence on the features of the rest.
    Head,
    /// Everything, after the head.
    All,
    /// The head and so many stages before it, after the head; the stages below stand still.
    Last(usize),
}

/// The words of the key.
const CHOICES: &[&str] = &["head", "all", "last"];

impl Serialize for Tune {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Head => serializer.serialize_str("head"),
            Self::All => serializer.serialize_str("all"),
            Self::Last(stages) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("last", stages)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tune {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TuneVisitor)
    }
}

struct TuneVisitor;

impl<'de> Visitor<'de> for TuneVisitor {
    type Value = Tune;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`head`, `all`, or a section with `last: N`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tune, E> {
        match text {
            "head" => Ok(Tune::Head),
            "all" => Ok(Tune::All),
            other => Err(E::unknown_variant(other, CHOICES)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tune, A::Error> {
        let mut stages = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "last" {
                return Err(A::Error::unknown_field(&key, &["last"]));
            }
            stages = Some(map.next_value()?);
        }
        stages.map(Tune::Last).ok_or_else(|| A::Error::missing_field("last"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_as_it_is_written() {
        for (tune, text) in [(Tune::Head, "\"head\""), (Tune::All, "\"all\""), (Tune::Last(2), "{\"last\":2}")] {
            assert_eq!(serde_json::to_string(&tune).unwrap(), text);
            assert_eq!(serde_json::from_str::<Tune>(text).unwrap(), tune);
        }
        for text in ["\"last\"", "{}", "{\"first\":1}", "{\"last\":-1}", "2", "null", "{\"last\":2,\"all\":1}"] {
            assert!(serde_json::from_str::<Tune>(text).is_err(), "{text}");
        }
    }
}
