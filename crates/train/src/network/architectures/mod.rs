//! The networks. A new one is a file here, a name in the pipeline file's `Architecture`, and an arm in [`build`].

mod baseline_cnn;
mod resnet;

pub use baseline_cnn::BaselineCnn;
pub use resnet::Resnet;

use crate::network::Network;
use crate::network::layers::{Builder, ConvShape};
use crate::ops::Backend;
use preprocess::pipeline::Architecture;
use preprocess::{Error, Result};

/// Makes a network with initial weights that `seed` determines.
///
/// # Errors
/// Fewer than two classes, or images too small for the architecture: the error spells out the sizes.
pub fn build<B: Backend>(
    architecture: Architecture,
    classes: usize,
    width: usize,
    height: usize,
    seed: u64,
    device: &B,
) -> Result<Box<dyn Network<B>>> {
    build_with(architecture, classes, [width, height], &Builder { seed, device, most_values: usize::MAX })
}

/// As [`build`], by a builder that may set a limit to the size of a matrix.
///
/// # Errors
/// As [`build`], or a matrix is too large for the builder.
pub fn build_with<B: Backend>(
    architecture: Architecture,
    classes: usize,
    [width, height]: [usize; 2],
    builder: &Builder<'_, B>,
) -> Result<Box<dyn Network<B>>> {
    if classes < 2 {
        return Err(Error::new(format!("a classifier needs at least two classes, not {classes}")));
    }
    let input = [3, height, width];
    Ok(match architecture {
        Architecture::BaselineCnn => Box::new(BaselineCnn::new(input, classes, builder)?),
        Architecture::Resnet => Box::new(Resnet::new(input, classes, builder)?),
    })
}

/// A step that changes an image's size.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Convolution(ConvShape),
    /// 2x2.
    MaxPooling,
}

/// Follows an image through the stages of an architecture. Returns the shape `[channels, height, width]` before the first stage
/// and after each.
///
/// # Errors
/// The image becomes too small on the way; all sizes up to there are spelled out.
fn follow(architecture: &str, input: [usize; 3], stages: &[Stage]) -> Result<Vec<[usize; 3]>> {
    let mut shapes = vec![input];
    let mut way = size_text(input);
    for stage in stages {
        let shape @ [channels, h, w] = shapes[shapes.len() - 1];
        let (name, output) = match stage {
            Stage::Convolution(conv) => (conv_text(conv), conv.output(shape)),
            Stage::MaxPooling => ("max pooling 2x2".to_owned(), (h >= 2 && w >= 2).then_some([channels, h / 2, w / 2])),
        };
        let Some(output) = output else {
            return Err(Error::new(format!(
                "images of {} pixels are too small for `{architecture}`",
                size_text(input)
            ))
            .because(format!("{way} -> {name} does not fit"))
            .hint("set a larger `preprocess.image.width` and `preprocess.image.height`"));
        };
        way = format!("{way} -> {name} -> {}", size_text(output));
        shapes.push(output);
    }
    Ok(shapes)
}

/// `conv 7x7 stride 2`.
fn conv_text(conv: &ConvShape) -> String {
    let stride = if conv.stride == 1 { String::new() } else { format!(" stride {}", conv.stride) };
    format!("conv {0}x{0}{stride}", conv.kernel)
}

/// Width by height, as in the pipeline file.
fn size_text([_, height, width]: [usize; 3]) -> String {
    format!("{width}x{height}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::summary::{ParameterCounts, table};
    use dfdx::tensor::Cpu;

    fn counts(architecture: Architecture, classes: usize, width: usize, height: usize) -> ParameterCounts {
        let network = build(architecture, classes, width, height, 1, &Cpu::default()).unwrap();
        ParameterCounts::of(&network.parameters())
    }

    #[test]
    fn parameter_counts_are_the_notebooks() {
        let count = |trainable, non_trainable| ParameterCounts { trainable, non_trainable };
        assert_eq!(counts(Architecture::BaselineCnn, 19, 128, 128), count(3_491_603, 0));
        assert_eq!(counts(Architecture::Resnet, 19, 128, 128), count(1_157_011, 256));
        assert_eq!(counts(Architecture::BaselineCnn, 19, 128, 128).total(), 3_491_603);
        assert_eq!(counts(Architecture::Resnet, 19, 128, 128).total(), 1_157_267);
    }

    #[test]
    fn small_images_are_refused_with_the_arithmetic() {
        let cases = [
            (Architecture::Resnet, 6, 40, "6x40 -> conv 7x7 stride 2 does not fit"),
            (Architecture::Resnet, 9, 40, "9x40 -> conv 7x7 stride 2 -> 2x17 -> conv 3x3 stride 2 does not fit"),
            (
                Architecture::BaselineCnn,
                19,
                64,
                "19x64 -> conv 3x3 -> 19x64 -> max pooling 2x2 -> 9x32 -> conv 3x3 -> 9x32 -> conv 3x3 -> 9x32 -> max pooling 2x2 -> \
                 4x16 -> conv 3x3 -> 2x14 -> conv 3x3 does not fit",
            ),
        ];
        for (architecture, width, height, arithmetic) in cases {
            let error = build(architecture, 19, width, height, 1, &Cpu::default()).err().unwrap().to_string();
            assert!(error.contains(arithmetic), "{error}");
        }
    }

    #[test]
    fn smallest_images_are_accepted() {
        assert_eq!(counts(Architecture::Resnet, 2, 11, 11).non_trainable, 256);
        assert_eq!(counts(Architecture::BaselineCnn, 2, 24, 24).non_trainable, 0);
        let error = build(Architecture::Resnet, 1, 64, 64, 1, &Cpu::default()).err().unwrap();
        assert!(error.message().contains("at least two classes"));
    }

    #[test]
    fn names_are_unique_and_the_summary_adds_up() {
        for architecture in [Architecture::BaselineCnn, Architecture::Resnet] {
            let network = build(architecture, 19, 128, 128, 1, &Cpu::default()).unwrap();
            let parameters = network.parameters();
            let names: std::collections::HashSet<_> = parameters.iter().map(|p| p.name.clone()).collect();
            assert_eq!(names.len(), parameters.len());
            let total = ParameterCounts::of(&parameters).total();
            assert_eq!(network.layers().iter().map(|row| row.parameters).sum::<usize>(), total);
            let digits: String =
                table(network.as_ref()).lines().rev().nth(2).unwrap().chars().filter(char::is_ascii_digit).collect();
            assert_eq!(digits, total.to_string());
        }
    }
}
