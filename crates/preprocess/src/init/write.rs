//! The pipeline file, with the reason of each choice beside it.

use super::look::Look;
use super::quote::{in_comment, value};
use super::weights::Weights;
use crate::pipeline::{Filter, Split};
use std::fmt::Write;

/// Shorter sides, in pixels, below which pretrained networks see the images at 128 pixels: enlarging
/// them twice and more only costs time.
const SMALL: usize = 100;

/// The side in pixels at which timm's weights were trained, mostly.
const USUAL: usize = 224;

/// That for small images.
const REDUCED: usize = 128;

/// Images of the smallest class below which a larger part is kept for the test: a tenth of them would be a handful.
const FEW: usize = 100;

/// The whole file.
pub(super) fn pipeline_file(name: &str, source: &str, look: &Look, weights: Option<&Weights>) -> String {
    let mut text = findings(source, look);
    let _ = write!(
        text,
        "\nname: {}\npreprocess:\n  source: {}\n{}{}{}{}train:\n  models:\n{}",
        value(name),
        value(source),
        image(look, weights),
        split(look),
        AUGMENTATION,
        if look.damaged.is_empty() {
            ""
        } else {
            "  unreadable: skip   # or fail: stop at the first file that cannot be read\n"
        },
        models(weights),
    );
    text += &format!(
        "# A gate for CI: `make accept PIPELINE=…` writes the file, `make check PIPELINE=…` compares with it.\n\
         # report:\n#   gate: {{ baseline: {} }}\n",
        value(&format!("baselines/{name}.json"))
    );
    text
}

/// What was found, as comments.
fn findings(source: &str, look: &Look) -> String {
    let [(least_name, least), (most_name, most)] = look.extremes();
    let of_all =
        if look.decoded == look.images() { String::new() } else { format!(" (of {} looked at)", look.decoded) };
    let [width, height] = look.median;
    let mut text = format!(
        "# {} images of {} classes in {}: {} a class.\n\
         # Sizes{of_all}: {width}x{height} pixels in the median, sides from {} to {}.\n",
        look.images(),
        look.classes.len(),
        in_comment(source),
        if least == most {
            least.to_string()
        } else {
            format!("{least} ({}) to {most} ({})", in_comment(least_name), in_comment(most_name))
        },
        look.sides[0],
        look.sides[1],
    );
    if !look.damaged.is_empty() {
        let named: Vec<String> = look.damaged.iter().take(3).map(|(name, _)| in_comment(name)).collect();
        let more = if look.damaged.len() > named.len() { ", …" } else { "" };
        let _ = writeln!(
            text,
            "# {} cannot be read{of_all} and will be left out: {}{more}",
            counted(look.damaged.len(), "file"),
            named.join(", ")
        );
    }
    if look.copies > 0 {
        let _ = writeln!(
            text,
            "# {} the same content as another one{of_all}; `preprocess` keeps copies and near-copies on one side of the split.",
            if look.copies == 1 { "1 file has".to_owned() } else { format!("{} files have", look.copies) }
        );
    }
    if *most >= 5 * *least {
        text += "# The classes are far from balanced: look at each class's recall in the report, not only at the accuracy. With \
                 `logit_adjustment: 1`\n# in a model rare classes are recognised far more often, frequent ones a little less (docs/recipes.md).\n";
    }
    text + "# Every key is described in docs/pipeline-file.md.\n"
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The size that images are brought to.
fn image(look: &Look, weights: Option<&Weights>) -> String {
    let shorter = look.median[0].min(look.median[1]);
    let Some(weights) = weights else {
        return "  image: { width: 128, height: 128 }   # larger shows more and takes longer, in proportion to the area\n".into();
    };
    let own = weights.side.unwrap_or(USUAL);
    let (side, why) = match shorter < SMALL && own > REDUCED {
        true => {
            (REDUCED, "the images are small: at the size that the weights were trained at they would only take longer")
        }
        false => (own, "as the weights were trained; 128 takes a third of the time"),
    };
    let filter = match weights.filter {
        Some(Filter::Bilinear) => "bilinear",
        _ => "bicubic",
    };
    let crop = weights.crop_fraction.filter(|&part| part < 1.0);
    let crop = crop.map_or(String::new(), |part| format!("fit: crop, crop_fraction: {part}, "));
    format!("  image: {{ width: {side}, height: {side}, {crop}filter: {filter} }}   # {why}\n")
}

/// The split's fractions, where the directories do not give it.
fn split(look: &Look) -> String {
    if let Some(given) = &look.given {
        let counts: Vec<String> = given.iter().map(|(split, count)| format!("{} {count}", split.name())).collect();
        let text = format!("  # The directories give the split: {} images.\n", counts.join(", "));
        let missing = |of: Split| given.iter().any(|&(split, count)| split == of && count == 0);
        let taken: Vec<&str> = [(Split::Validation, "validation: 0.2"), (Split::Test, "test: 0.1")]
            .into_iter()
            .filter(|&(split, _)| missing(split))
            .map(|(_, fraction)| fraction)
            .collect();
        return match taken.as_slice() {
            [] => text,
            taken => {
                format!("{text}  split: {{ {} }}   # what has no directory is taken from train/\n", taken.join(", "))
            }
        };
    }
    let [(_, least), _] = look.extremes();
    let (validation, test) = if *least < FEW { (0.15, 0.2) } else { (0.2, 0.1) };
    let why = match *least < FEW {
        true => "of few images a larger part is needed to measure with",
        false => "the rest, 70 %, is trained on",
    };
    format!("  split: {{ validation: {validation}, test: {test} }}   # {why}; near-copies stay together\n")
}

/// Copies for what trains more than a head.
const AUGMENTATION: &str = "  \
  # Models with `augmented: true` see a new copy of each image in every epoch. Without flips where left and right matter (text, numbers).
  augment: { copies: fly, rotation: 10, shift: [0.1, 0.1], zoom: 0.1, brightness: [0.8, 1.2], horizontal_flip: true }
";

/// The models: what fits, and what is one uncomment away.
fn models(weights: Option<&Weights>) -> String {
    let recipe = "augmented: true, schedule: cosine, warmup_epochs: 1, weight_decay: 0.05, label_smoothing: 0.1";
    let Some(weights) = weights else {
        return FROM_SCRATCH.to_owned();
    };
    let (architecture, source) = (weights.architecture.name(), value(&weights.source));
    format!(
        "    # The last layer alone, on the features of the pretrained rest: seconds.\n    \
         head: {{ architecture: {architecture}, pretrained: {source}, tune: head }}\n    \
         # Everything, from there on: minutes to hours, and usually some points more.\n    \
         # all: {{ architecture: {architecture}, pretrained: {source}, tune: all, epochs: 8, {recipe} }}\n    \
         # From random weights:\n    \
         # scratch: {{ architecture: resnet, epochs: 40, augmented: true, schedule: cosine, warmup_epochs: 1, weight_decay: 0.05 }}\n"
    )
}

/// Without pretrained weights.
const FROM_SCRATCH: &str = "    \
    # From random weights. Pretrained ones are nearly always better and faster: `preprocess init --pretrained`.
    resnet: { architecture: resnet, epochs: 40, augmented: true, schedule: cosine, warmup_epochs: 1, weight_decay: 0.05 }
    # pretrained: { architecture: efficientnet-lite0, pretrained: timm/tf_efficientnet_lite0.in1k, tune: head }
";
