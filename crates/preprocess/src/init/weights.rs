//! Of which architecture pretrained weights are: told by their name on the hub, by the file beside them, or by the
//! names of their arrays.

use crate::pipeline::limits::IMAGE_SIDE;
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
        let arrays = names_of(&file)?;
        let told = find("architecture").and_then(Value::as_str).and_then(known).or_else(|| by_arrays(&arrays));
        match told {
            Some(architecture) => Ok(Self { source: source.to_owned(), architecture, filter, side }),
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
                Ok(Self { source: source.to_owned(), architecture, filter: None, side: None })
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
    let name = name.split(['.', '@']).next().unwrap_or(name).replace('_', "-");
    Some(match name.as_str() {
        "efficientnet-lite0" | "tf-efficientnet-lite0" => Architecture::EfficientnetLite0,
        "mobilenetv4-conv-small" => Architecture::Mobilenetv4ConvSmall,
        "resnet18" => Architecture::Resnet18,
        "resnet34" => Architecture::Resnet34,
        "resnet50" => Architecture::Resnet50,
        "resnet" => Architecture::Resnet,
        "baseline-cnn" => Architecture::BaselineCnn,
        _ => return None,
    })
}

/// By arrays that only it has.
fn by_arrays(names: &[String]) -> Option<Architecture> {
    let has = |name: &str| names.iter().any(|known| known == name);
    Some(match () {
        () if has("blocks.6.0.conv_pwl.weight")
            && has("conv_stem.weight")
            && !has("blocks.0.0.se.conv_reduce.weight") =>
        {
            Architecture::EfficientnetLite0
        }
        () if has("blocks.2.5.dw_start.conv.weight") && has("norm_head.weight") => Architecture::Mobilenetv4ConvSmall,
        () if has("layer3.5.conv3.weight") && !has("layer3.6.conv3.weight") => Architecture::Resnet50,
        () if has("layer3.5.conv2.weight") && !has("layer1.0.conv3.weight") => Architecture::Resnet34,
        () if has("layer4.1.conv2.weight") && !has("layer1.0.conv3.weight") && !has("layer1.2.conv1.weight") => {
            Architecture::Resnet18
        }
        () => return None,
    })
}

/// Names of the arrays of a safetensors file, from its header alone.
fn names_of(file: &Path) -> Result<Vec<String>> {
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
        Ok(header) => Ok(header.into_iter().map(|(name, _)| name).collect()),
        Err(error) => refuse(format!("its header is no JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(names: &[&str]) -> tempfile::NamedTempFile {
        let header: serde_json::Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        let header = serde_json::to_vec(&header).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [&(header.len() as u64).to_le_bytes()[..], &header].concat()).unwrap();
        file
    }

    #[test]
    fn architectures_are_told_by_arrays_and_by_names() {
        for (names, architecture) in [
            (&["conv_stem.weight", "blocks.6.0.conv_pwl.weight"][..], Architecture::EfficientnetLite0),
            (&["norm_head.weight", "blocks.2.5.dw_start.conv.weight"], Architecture::Mobilenetv4ConvSmall),
            (&["layer1.0.conv3.weight", "layer3.5.conv3.weight"], Architecture::Resnet50),
            (&["layer3.5.conv2.weight", "layer1.2.conv1.weight"], Architecture::Resnet34),
            (&["layer4.1.conv2.weight", "layer1.1.conv1.weight"], Architecture::Resnet18),
        ] {
            let file = file_with(names);
            let told = Weights::told_by(file.path().to_str().unwrap()).unwrap();
            assert_eq!(told.architecture, architecture);
            assert_eq!(known(architecture.name()), Some(architecture));
        }
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
        let strange = file_with(&["encoder.weight"]);
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
