//! Weights that somebody else trained, as the beginning of a model: found, read, and matched to a network by name.

use crate::network::graph::Graph;
use crate::tensor::arrays::Array;
use crate::tensor::standardization::Standardization;
use crate::weights::config::WeightsConfig;
use crate::weights::foreign::{self, Foreign};
use crate::weights::hub;
use indexmap::IndexMap;
use preprocess::pipeline::{Architecture, Filter, Fit, ImageSettings};
use preprocess::{Error, Result, note};
use std::path::{Path, PathBuf};

/// In a directory of weights.
const WEIGHTS_FILE: &str = "model.safetensors";

/// Beside the weights.
const CONFIG_FILE: &str = "config.json";

/// Names of each kind that an error lists.
const LISTED: usize = 5;

/// Pretrained weights and what is known of them.
#[derive(Debug)]
pub(crate) struct Pretrained {
    /// What a model's `config.json` says of them.
    pub record: PretrainedRecord,
    config: WeightsConfig,
    arrays: Vec<Array>,
}

/// Where a model's first weights came from.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PretrainedRecord {
    /// As in the pipeline file.
    pub source: String,
    /// BLAKE3 of the file, in hexadecimal.
    pub checksum: String,
    /// As the file beside the weights says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Mean and standard deviation of red, green and blue that the weights were trained with, if the file beside them
    /// says so; the architecture's own otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_and_std: Option<[[f64; 3]; 2]>,
}

impl PretrainedRecord {
    /// How the images' bytes become numbers, if the weights say so.
    pub(crate) fn standardization(&self) -> Option<Standardization> {
        let [mean, std] = self.mean_and_std?.map(|values| values.map(|value| value as f32));
        Some(Standardization { mean, std })
    }
}

impl Pretrained {
    /// Reads the weights of a safetensors file, of a directory with `model.safetensors`, or of the Hugging Face hub.
    ///
    /// # Errors
    /// They cannot be had; they are no weights, or those of another architecture than `architecture`.
    pub(crate) fn read(source: &str, architecture: Architecture) -> Result<Self> {
        let (file, config) = locate(source)?;
        let Foreign { arrays, checksum } = foreign::read(&file)?;
        let config = config.map(|file| WeightsConfig::read(&file)).transpose()?.unwrap_or_default();
        if let Some(told) = &config.architecture {
            check_architecture(source, told, architecture)?;
        }
        let WeightsConfig { license, mean_and_std, .. } = &config;
        let record = PretrainedRecord {
            source: source.to_owned(),
            checksum,
            license: license.clone(),
            mean_and_std: *mean_and_std,
        };
        Ok(Self { record, config, arrays })
    }

    /// Says what a person should know before training: the licence, what becomes of the head, and where the images
    /// differ from those that the weights were trained on.
    pub(crate) fn announce(&self, graph: &Graph, classes: usize, image: &ImageSettings) {
        let source = &self.record.source;
        if let Some(license) = &self.record.license {
            note!("the pretrained weights `{source}` are under the licence {license}");
        }
        let head = graph.head().map(|head| format!("{}.weight", head.name)).unwrap_or_default();
        match self.arrays.iter().find(|array| array.name == head).and_then(|array| array.shape.first()) {
            Some(outputs) => {
                note!("the head of the pretrained weights, for {outputs} classes, gives way to one for {classes}");
            }
            None => note!("the pretrained weights have no head; one for {classes} classes is made"),
        }
        let filter = match self.config.interpolation.as_deref() {
            Some("bicubic") => Some(Filter::Bicubic),
            Some("bilinear") => Some(Filter::Bilinear),
            _ => None,
        };
        if let (Some(filter), Some(name)) = (filter, &self.config.interpolation)
            && filter != image.filter
        {
            note!("the weights were trained on images resized with `{name}`: `preprocess.image.filter` could be that");
        }
        if let Some(part) = self.config.crop_pct
            && (part - image.crop_fraction).abs() > 1e-3
            && image.fit != Fit::Pad
        {
            note!(
                "the weights are meant for images cut to {part} of either side: `preprocess.image.crop_fraction` could be \
                 that; it is {}",
                image.crop_fraction
            );
        }
    }

    /// The arrays of all parameters but the head's, which are of `expected`, in its order.
    ///
    /// # Errors
    /// Some are missing, of another shape, or not the network's: the error lists them.
    pub(crate) fn backbone(&self, expected: &[(String, Vec<usize>)], head: &str) -> Result<Vec<&Array>> {
        let of_head = |name: &str| name.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'));
        let mut found: IndexMap<&str, &Array> = self.arrays.iter().map(|array| (array.name.as_str(), array)).collect();
        found.retain(|name, _| !of_head(name));
        let (mut missing, mut misshapen, mut picked) = (Vec::new(), Vec::new(), Vec::new());
        for (name, shape) in expected.iter().filter(|(name, _)| !of_head(name)) {
            match found.shift_remove(name.as_str()) {
                None => missing.push(format!("`{name}`")),
                Some(array) if array.shape != *shape => {
                    misshapen.push(format!("`{name}` {:?} instead of {shape:?}", array.shape));
                }
                Some(array) => picked.push(array),
            }
        }
        let extra: Vec<String> = found.keys().map(|name| format!("`{name}`")).collect();
        let kinds = [("missing", missing), ("of another shape", misshapen), ("not the network's", extra)];
        let problems: Vec<String> = kinds
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| listed(kind, &names))
            .collect();
        match problems.is_empty() {
            true => Ok(picked),
            false => Err(Error::new(format!("the weights `{}` are not those of the architecture", self.record.source))
                .because(problems.join("; "))
                .hint(
                    "the names and shapes must be timm's: name other weights, or the `architecture` that these are of",
                )),
        }
    }
}

/// `2 missing (`a`, `b`)`; of many, the first ones.
fn listed(kind: &str, names: &[String]) -> String {
    let more = if names.len() > LISTED { ", …" } else { "" };
    format!("{} {kind} ({}{more})", names.len(), names[..names.len().min(LISTED)].join(", "))
}

/// The file of the weights and that which describes them.
fn locate(source: &str) -> Result<(PathBuf, Option<PathBuf>)> {
    let path = Path::new(source);
    if !path.exists() && hub::is_hub_name(source) {
        let files = hub::fetch(source)?;
        return Ok((files.weights, files.config));
    }
    let file = if path.is_dir() { path.join(WEIGHTS_FILE) } else { path.to_owned() };
    if !file.exists() {
        return Err(Error::new(format!("there are no pretrained weights `{source}`"))
            .because(format!("`{}` does not exist", file.display()))
            .hint("name a safetensors file, or a model of the Hugging Face hub as `timm/tf_efficientnet_lite0.in1k`"));
    }
    let config = file.with_file_name(CONFIG_FILE);
    Ok((file, config.exists().then_some(config)))
}

/// Weights of a relative may have the same names and shapes and want another network: other paddings, say.
fn check_architecture(source: &str, told: &str, architecture: Architecture) -> Result<()> {
    let known = known_architecture(told);
    if known == Some(architecture) {
        return Ok(());
    }
    let error = Error::new(format!("the weights `{source}` are of `{told}`, not of `{}`", architecture.name()));
    Err(match known {
        Some(known) => error.hint(format!("set `architecture: {}`, or name other weights", known.name())),
        None => error
            .because(format!("the `{CONFIG_FILE}` beside them says so, and no architecture here is that one"))
            .hint("name other weights"),
    })
}

/// The architecture that goes by this name here or in timm; none for names that are not known.
fn known_architecture(name: &str) -> Option<Architecture> {
    // timm's names may carry a tag.
    let name = name.split('.').next().unwrap_or(name);
    Some(match name {
        // timm's `efficientnet_lite0` pads in another way.
        "efficientnet-lite0" | "tf_efficientnet_lite0" => Architecture::EfficientnetLite0,
        "mobilenetv4-conv-small" | "mobilenetv4_conv_small" => Architecture::Mobilenetv4ConvSmall,
        "resnet18" => Architecture::Resnet18,
        "resnet34" => Architecture::Resnet34,
        "resnet50" => Architecture::Resnet50,
        "baseline-cnn" => Architecture::BaselineCnn,
        "resnet" => Architecture::Resnet,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretrained(arrays: &[(&str, &[usize])]) -> Pretrained {
        let array = |&(name, shape): &(&str, &[usize])| Array {
            name: name.into(),
            shape: shape.to_vec(),
            values: vec![1.0; shape.iter().product()],
        };
        Pretrained {
            record: PretrainedRecord {
                source: "file".into(),
                checksum: String::new(),
                license: None,
                mean_and_std: None,
            },
            config: WeightsConfig::default(),
            arrays: arrays.iter().map(array).collect(),
        }
    }

    fn expected() -> Vec<(String, Vec<usize>)> {
        let shapes: [(&str, &[usize]); 4] =
            [("conv.weight", &[4, 3, 3, 3]), ("conv.bias", &[4]), ("fc.weight", &[2, 4]), ("fc.bias", &[2])];
        shapes.map(|(name, shape)| (name.to_owned(), shape.to_vec())).into()
    }

    #[test]
    fn the_backbone_is_matched_strictly_and_the_head_is_left_alone() {
        let whole: [(&str, &[usize]); 4] =
            [("fc.bias", &[1000]), ("conv.bias", &[4]), ("conv.weight", &[4, 3, 3, 3]), ("fc.weight", &[1000, 4])];
        for arrays in [&whole[..], &whole[1..3]] {
            let weights = pretrained(arrays);
            let picked = weights.backbone(&expected(), "fc").unwrap();
            let names: Vec<&str> = picked.iter().map(|array| array.name.as_str()).collect();
            assert_eq!(names, ["conv.weight", "conv.bias"]);
        }
        let wrong = pretrained(&[("conv.weight", &[4, 3, 5, 5]), ("fc2.weight", &[1]), ("fc.weight", &[2, 4])]);
        let error = wrong.backbone(&expected(), "fc").unwrap_err().to_string();
        for says in [
            "1 missing (`conv.bias`)",
            "1 of another shape (`conv.weight` [4, 3, 5, 5] instead of [4, 3, 3, 3])",
            "1 not the network's (`fc2.weight`)",
            "hint",
        ] {
            assert!(error.contains(says), "no `{says}` in: {error}");
        }
    }

    #[test]
    fn long_lists_are_cut_short() {
        let names: Vec<String> = (0..9).map(|at| format!("`a{at}`")).collect();
        assert_eq!(listed("missing", &names), "9 missing (`a0`, `a1`, `a2`, `a3`, `a4`, …)");
        assert_eq!(listed("missing", &names[..1]), "1 missing (`a0`)");
    }

    #[test]
    fn every_architecture_goes_by_its_own_name_and_by_timms() {
        for architecture in [
            Architecture::BaselineCnn,
            Architecture::Resnet,
            Architecture::Resnet18,
            Architecture::Resnet34,
            Architecture::Resnet50,
            Architecture::EfficientnetLite0,
            Architecture::Mobilenetv4ConvSmall,
        ] {
            assert_eq!(known_architecture(architecture.name()), Some(architecture));
        }
        assert_eq!(known_architecture("tf_efficientnet_lite0.in1k"), Some(Architecture::EfficientnetLite0));
        assert_eq!(known_architecture("vit_base_patch16_224"), None);
        for (told, says) in
            [("resnet34", "set `architecture: resnet34`"), ("efficientnet_lite0", "no architecture here")]
        {
            let error = check_architecture("file", told, Architecture::Resnet18).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
