//! What a model's directory says of it in the words of timm and transformers.

use crate::network::architectures::NORM;
use crate::network::graph::{Graph, Layer};
use preprocess::pipeline::{Filter, Fit, ImageSettings};
use serde_json::{Value, json};

/// The shortest decimal that is this value, so that files say 0.485 and not 0.48500001430511475.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

/// timm's key: what lies between the last map and the classifier; empty where the map is flattened.
pub(super) fn global_pool(graph: &Graph) -> &'static str {
    let pooled = graph.nodes().iter().any(|node| node.layer == Layer::GlobalAvgPool2d);
    if pooled { "avg" } else { "" }
}

/// What a state dict does not say and PyTorch's defaults may get wrong.
pub(super) fn model_args(graph: &Graph) -> Value {
    let norm = |layer: &Layer| if let Layer::BatchNorm2d(norm) = layer { Some(*norm) } else { None };
    let norm = graph.nodes().iter().find_map(|node| norm(&node.layer)).unwrap_or(NORM);
    json!({ "batch_norm_eps": decimal(norm.epsilon), "batch_norm_momentum": norm.momentum })
}

/// timm's description of the images. Its crop modes `squash`, `center` and `border` are our fits.
pub(super) fn pretrained_cfg(image: &ImageSettings, graph: &Graph) -> Value {
    let standardization = graph.standardization();
    json!({
        "input_size": [3, image.height, image.width],
        "mean": standardization.mean.map(decimal),
        "std": standardization.std.map(decimal),
        "interpolation": match image.filter {
            Filter::Nearest => "nearest",
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
            Filter::Lanczos => "lanczos",
        },
        "crop_pct": image.crop_fraction,
        "crop_mode": match image.fit {
            Fit::Stretch => "squash",
            Fit::Crop => "center",
            Fit::Pad => "border",
        },
    })
}

/// The keys of transformers' image processors. `ViTImageProcessor` stretches; for the other fits and for
/// parts no processor of theirs does quite the same, so none is named.
pub(super) fn preprocessor(image: &ImageSettings, graph: &Graph) -> Value {
    let standardization = graph.standardization();
    let mut value = json!({
        "do_convert_rgb": true,
        "do_resize": true,
        "size": {"height": image.height, "width": image.width},
        "resample": match image.filter {
            Filter::Nearest => 0,
            Filter::Lanczos => 1,
            Filter::Bilinear => 2,
            Filter::Bicubic => 3,
        },
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": standardization != Default::default(),
        "image_mean": standardization.mean.map(decimal),
        "image_std": standardization.std.map(decimal),
        "fit": image.fit,
    });
    if image.crop_fraction < 1.0 {
        value["crop_fraction"] = image.crop_fraction.into();
    } else if image.fit == Fit::Stretch {
        value["image_processor_type"] = "ViTImageProcessor".into();
    }
    value
}
