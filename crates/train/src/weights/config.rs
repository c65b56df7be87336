//! What the file beside pretrained weights says of them: timm's `config.json`.

use preprocess::stage::error::Context;
use preprocess::stage::files;
use preprocess::{Error, ErrorKind, Result};
use serde_json::Value;
use std::path::Path;

/// Bytes of the file: what is larger is something else.
const MAXIMUM_BYTES: u64 = 4 << 20;

/// As far as the file says so.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WeightsConfig {
    /// As whoever trained the weights calls it.
    pub architecture: Option<String>,
    /// Mean and standard deviation of red, green and blue, of values in 0 to 1.
    pub mean_and_std: Option<[[f64; 3]; 2]>,
    /// Channels, height, width.
    pub input_size: Option<[usize; 3]>,
    /// `bicubic`, `bilinear`, …
    pub interpolation: Option<String>,
    /// What part of the image's side the centre crop keeps.
    pub crop_pct: Option<f64>,
    /// Of the weights.
    pub license: Option<String>,
}

impl WeightsConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// It is no JSON, or its mean, standard deviation or size are none of images.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let cannot = || format!("cannot read `{}`, which describes the pretrained weights beside it", file.display());
        let refuse = |reason: String| {
            let error = Error::new(cannot()).of_kind(ErrorKind::Damaged).because(reason);
            Err(error
                .hint("copy the file again as a whole, or move it away: then the architecture's own values are used"))
        };
        if std::fs::metadata(file).context(cannot)?.len() > MAXIMUM_BYTES {
            return refuse(format!("it is larger than {MAXIMUM_BYTES} bytes"));
        }
        let bytes = files::read(file).context(cannot)?;
        match serde_json::from_slice::<Value>(&bytes).map_err(|error| error.to_string()).and_then(|v| Self::of(&v)) {
            Ok(config) => Ok(config),
            Err(reason) => refuse(reason),
        }
    }

    /// timm's keys, at the root or in `pretrained_cfg`.
    fn of(value: &Value) -> Result<Self, String> {
        let nested = value.get("pretrained_cfg").unwrap_or(&Value::Null);
        let find = |key: &str| nested.get(key).or_else(|| value.get(key)).filter(|found| !found.is_null());
        let text = |key: &str| find(key).and_then(Value::as_str).map(str::to_owned);
        let numbers = |key: &str| find(key).map(|value| three(key, value)).transpose();
        let mean_and_std = match (numbers("mean")?, numbers("std")?) {
            (Some(mean), Some(std)) => Some([mean, std]),
            (None, None) => None,
            _ => return Err("it has one of `mean` and `std` without the other".to_owned()),
        };
        if let Some([_, std]) = mean_and_std
            && std.iter().any(|&deviation| deviation <= 0.0)
        {
            return Err(format!("`std` is {std:?}; standard deviations are above 0"));
        }
        let input_size = numbers("input_size")?.map(|size| size.map(|side| side as usize));
        Ok(Self {
            architecture: text("architecture"),
            mean_and_std,
            input_size,
            interpolation: text("interpolation"),
            crop_pct: find("crop_pct").and_then(Value::as_f64),
            license: text("license"),
        })
    }
}

/// Three finite numbers.
fn three(key: &str, value: &Value) -> Result<[f64; 3], String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let numbers: Option<Vec<f64>> = items.iter().map(|item| item.as_f64().filter(|v| v.is_finite())).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| {
        let found = if items.is_empty() { value.to_string() } else { format!("{} values", items.len()) };
        format!("`{key}` must be three numbers, one a channel; it is {found}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn timms_keys_are_found_at_the_root_and_nested() {
        let keys = json!({"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1.0], "input_size": [3, 224, 192],
            "interpolation": "bicubic", "crop_pct": 0.875, "license": "apache-2.0"});
        let expected = WeightsConfig {
            architecture: Some("tf_efficientnet_lite0".into()),
            mean_and_std: Some([[0.5; 3], [0.25, 0.5, 1.0]]),
            input_size: Some([3, 224, 192]),
            interpolation: Some("bicubic".into()),
            crop_pct: Some(0.875),
            license: Some("apache-2.0".into()),
        };
        let nested = json!({"architecture": "tf_efficientnet_lite0", "pretrained_cfg": keys});
        let mut root = keys;
        root["architecture"] = "tf_efficientnet_lite0".into();
        for value in [nested, root] {
            assert_eq!(WeightsConfig::of(&value).unwrap(), expected);
        }
        assert_eq!(WeightsConfig::of(&json!({"model_type": "bert"})).unwrap(), WeightsConfig::default());
    }

    #[test]
    fn impossible_values_are_refused_by_name() {
        for (value, says) in [
            (
                json!({"mean": [0.5], "std": [0.5, 0.5, 0.5]}),
                "`mean` must be three numbers, one a channel; it is 1 values",
            ),
            (json!({"mean": [0.5, 0.5, "x"], "std": [1, 1, 1]}), "`mean` must be three numbers"),
            (json!({"mean": 0.5, "std": [1, 1, 1]}), "it is 0.5"),
            (json!({"mean": [0.5, 0.5, 0.5]}), "one of `mean` and `std`"),
            (json!({"mean": [0, 0, 0], "std": [1, 0, 1]}), "above 0"),
        ] {
            let error = WeightsConfig::of(&value).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        std::fs::write(&file, "{").unwrap();
        let error = WeightsConfig::read(&file).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.contains("move it away"), "{error}");
    }
}
