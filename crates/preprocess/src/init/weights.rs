//! Of which architecture pretrained weights are: told by their name on the hub, by the file beside them, or by the
//! names of their arrays.

use crate::pipeline::limits::{CROP_FRACTION, IMAGE_SIDE};
use crate::pipeline::{Architecture, Filter};
use crate::stage::error::Context;
use crate::{Error, ErrorKind, Result};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a safetensors file's header: that of the largest networks has a few million.
const MOST_HEADER: u64 = 100 << 20;

/// Pretrained weights, as `--pretrained` names them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    /// As given.
    pub source: String,
    /// Which network.
    pub architecture: Architecture,
    /// With what the weights' own images were resized, as far as it is known.
    pub filter: Option<Filter>,
    /// The part of either side that the weights' own images were cut to, as far as it is known.
    pub crop_fraction: Option<f64>,
    /// The side of the weights' own images in pixels, as far as it is known.
    pub side: Option<usize>,
}

impl Weights {
    /// # Errors
    /// There is no such file and it is no name of the hub; it is no safetensors file; the architecture is none that is
    /// known.
    pub(super) fn told_by(source: &str) -> Result<Self> {
        let path = Path::new(source);
        if !path.exists() {
            return Self::told_by_name(source);
        }
        let file = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
        let config = file.with_file_name("config.json");
        let described = std::fs::read(&config).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let find = |key: &str| {
            let value = described.as_ref()?;
            value.get("pretrained_cfg").and_then(|nested| nested.get(key)).or_else(|| value.get(key))
        };
        let side = find("input_size").and_then(|size| size.get(1)).and_then(Value::as_u64);
        let side = side.map(|side| side as usize).filter(|side| IMAGE_SIDE.contains(side));
        let filter = match find("interpolation").and_then(Value::as_str) {
            Some("bilinear") => Some(Filter::Bilinear),
            Some("bicubic") => Some(Filter::Bicubic),
            _ => None,
        };
        let crop_fraction = find("crop_pct").and_then(Value::as_f64).filter(|part| CROP_FRACTION.contains(part));
        let arrays = arrays_of(&file)?;
        let told = find("architecture").and_then(Value::as_str).and_then(known).or_else(|| by_arrays(&arrays));
        match told {
            Some(architecture) => Ok(Self { source: source.to_owned(), architecture, filter, crop_fraction, side }),
            None => Err(unknown(&format!("`{source}`"), "the names of its arrays are those of no architecture here")),
        }
    }

    /// A name on the hub: `timm/tf_efficientnet_lite0.in1k`.
    fn told_by_name(source: &str) -> Result<Self> {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte))
        };
        match source.split_once('/') {
            Some((owner, name)) if plain(owner) && plain(name) && !name.ends_with(".safetensors") => {
                let architecture = known(name)
                    .ok_or_else(|| unknown(&format!("the hub's `{source}`"), "its name is none that is known here"))?;
                Ok(Self { source: source.to_owned(), architecture, filter: None, crop_fraction: None, side: None })
            }
            _ => Err(Error::new(format!("there are no pretrained weights `{source}`"))
                .because("it is no file, and no name of the Hugging Face hub (`owner/name`)")
                .hint("name a safetensors file, or a model such as `timm/tf_efficientnet_lite0.in1k`")),
        }
    }
}

fn unknown(weights: &str, why: &str) -> Error {
    Error::new(format!("of which architecture {weights} is cannot be told")).because(why).hint(
        "weights can be of `efficientnet-lite0`, `mobilenetv4-conv-small`, `resnet18`, `resnet34` and `resnet50`, under timm's names",
    )
}

/// By the name that timm or this program gives it, a tag behind it left out.
fn known(name: &str) -> Option<Architecture> {
    let original = name.split(['.', '@']).next().unwrap_or(name);
    Some(match original.replace('_', "-").as_str() {
        // timm's `efficientnet_lite0` pads in another way.
        "efficientnet-lite0" if !original.contains('_') => Architecture::EfficientnetLite0,
        "tf-efficientnet-lite0" => Architecture::EfficientnetLite0,
        "mobilenetv4-conv-small" => Architecture::Mobilenetv4ConvSmall,
        "resnet18" => Architecture::Resnet18,
        "resnet34" => Architecture::Resnet34,
        "resnet50" => Architecture::Resnet50,
        "resnet" => Architecture::Resnet,
        "baseline-cnn" => Architecture::BaselineCnn,
        _ => return None,
    })
}

/// By arrays that only it has, and what its relatives have and it has not.
fn by_arrays(arrays: &[(String, Vec<u64>)]) -> Option<Architecture> {
    let has = |name: &str| arrays.iter().any(|(known, _)| known == name);
    let is = |name: &str, shape: [u64; 4]| arrays.iter().any(|(known, of)| known == name && *of == shape);
    let basic = is("conv1.weight", [64, 3, 7, 7])
        && is("layer1.0.conv2.weight", [64, 64, 3, 3])
        && !has("layer1.0.se.fc1.weight");
    let bottleneck = has("layer1.0.conv3.weight");
    Some(match () {
        () if is("conv_head.weight", [1280, 320, 1, 1])
            && is("blocks.6.0.conv_pwl.weight", [320, 1152, 1, 1])
            && !has("blocks.1.2.conv_pw.weight")
            && !has("blocks.1.0.se.conv_reduce.weight") =>
        {
            Architecture::EfficientnetLite0
        }
        () if is("conv_head.weight", [1280, 960, 1, 1])
            && is("blocks.2.5.dw_start.conv.weight", [96, 1, 3, 3])
            && has("norm_head.weight") =>
        {
            Architecture::Mobilenetv4ConvSmall
        }
        () if basic && bottleneck && has("layer3.5.conv3.weight") && !has("layer3.6.conv3.weight") => {
            Architecture::Resnet50
        }
        () if basic && !bottleneck && has("layer3.5.conv2.weight") => Architecture::Resnet34,
        () if basic && !bottleneck && has("layer4.1.conv2.weight") && !has("layer1.2.conv1.weight") => {
            Architecture::Resnet18
        }
        () => return None,
    })
}

/// Names and shapes of the arrays of a safetensors file, from its header alone.
fn arrays_of(file: &Path) -> Result<Vec<(String, Vec<u64>)>> {
    let shown = file.display();
    let cannot = || format!("cannot read the pretrained weights `{shown}`");
    let refuse = |why: String| {
        let error = Error::new(format!("`{shown}` is no safetensors file")).of_kind(ErrorKind::Damaged).because(why);
        Err(error.hint("name a safetensors file; one of PyTorch becomes one by `train weights import`"))
    };
    let mut open = File::open(file).context(cannot)?;
    let length = open.metadata().context(cannot)?.len();
    let mut size = [0; 8];
    if length < 8 {
        return refuse(format!("it has {length} bytes"));
    }
    open.read_exact(&mut size).context(cannot)?;
    let size = u64::from_le_bytes(size);
    if size > MOST_HEADER || size > length - 8 {
        return refuse(format!("it says that its header has {size} bytes; the file has {length}"));
    }
    let mut header = vec![0; size as usize];
    open.read_exact(&mut header).context(cannot)?;
    match serde_json::from_slice::<serde_json::Map<String, Value>>(&header) {
        Ok(header) => {
            let shape = |value: &Value| -> Option<Vec<u64>> {
                value.get("shape")?.as_array()?.iter().map(Value::as_u64).collect()
            };
            Ok(header.into_iter().map(|(name, value)| (name, shape(&value).unwrap_or_default())).collect())
        }
        Err(error) => refuse(format!("its header is no JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(arrays: &[(&str, [u64; 4])]) -> tempfile::NamedTempFile {
        let entry = |&(name, shape): &(&str, [u64; 4])| (name.to_owned(), serde_json::json!({ "shape": shape }));
        let header: serde_json::Map<String, Value> = arrays.iter().map(entry).collect();
        let header = serde_json::to_vec(&header).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [&(header.len() as u64).to_le_bytes()[..], &header].concat()).unwrap();
        file
    }

    #[test]
    fn architectures_are_told_by_arrays_and_by_names() {
        const SOME: [u64; 4] = [64, 64, 3, 3];
        let resnet = [("conv1.weight", [64, 3, 7, 7]), ("layer1.0.conv2.weight", SOME)];
        let lite = [("conv_head.weight", [1280, 320, 1, 1]), ("blocks.6.0.conv_pwl.weight", [320, 1152, 1, 1])];
        let mobile = [
            ("conv_head.weight", [1280, 960, 1, 1]),
            ("blocks.2.5.dw_start.conv.weight", [96, 1, 3, 3]),
            ("norm_head.weight", SOME),
        ];
        for (arrays, more, architecture) in [
            (&lite[..], &[][..], Some(Architecture::EfficientnetLite0)),
            (&lite, &["blocks.1.2.conv_pw.weight"], None),
            (&mobile, &[], Some(Architecture::Mobilenetv4ConvSmall)),
            (&resnet, &["layer1.0.conv3.weight", "layer3.5.conv3.weight"], Some(Architecture::Resnet50)),
            (&resnet, &["layer1.0.conv3.weight", "layer3.5.conv3.weight", "layer3.6.conv3.weight"], None),
            (&resnet, &["layer3.5.conv2.weight", "layer1.2.conv1.weight"], Some(Architecture::Resnet34)),
            (&resnet, &["layer4.1.conv2.weight"], Some(Architecture::Resnet18)),
            (&resnet[..1], &["layer4.1.conv2.weight"], None),
        ] {
            let arrays: Vec<_> = arrays.iter().copied().chain(more.iter().map(|&name| (name, SOME))).collect();
            let file = file_with(&arrays);
            let told = Weights::told_by(file.path().to_str().unwrap()).ok().map(|weights| weights.architecture);
            assert_eq!(told, architecture, "{arrays:?}");
            architecture
                .into_iter()
                .for_each(|architecture| assert_eq!(known(architecture.name()), Some(architecture)));
        }
        assert_eq!(known("efficientnet_lite0.ra_in1k"), None);
        for (name, architecture) in [
            ("timm/tf_efficientnet_lite0.in1k", Architecture::EfficientnetLite0),
            ("timm/mobilenetv4_conv_small.e2400_r224_in1k", Architecture::Mobilenetv4ConvSmall),
            ("timm/resnet50.a1_in1k@main", Architecture::Resnet50),
        ] {
            assert_eq!(Weights::told_by(name).unwrap().architecture, architecture, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_what_to_do() {
        let strange = file_with(&[("encoder.weight", [1; 4])]);
        let huge = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(huge.path(), [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat()).unwrap();
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "hello").unwrap();
        for (source, says) in [
            (strange.path().to_str().unwrap(), "cannot be told"),
            (huge.path().to_str().unwrap(), "no safetensors file"),
            (text.path().to_str().unwrap(), "no safetensors file"),
            ("timm/vit_base_patch16_224.augreg", "cannot be told"),
            ("nowhere.safetensors", "no file"),
            ("weights/nowhere.safetensors", "no file"),
        ] {
            let error = Weights::told_by(source).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("hint"), "{source}: {error}");
        }
    }
}
