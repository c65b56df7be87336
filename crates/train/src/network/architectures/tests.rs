use super::*;
use crate::network::summary::{ParameterCounts, table};

const ALL: [Architecture; 7] = [
    Architecture::BaselineCnn,
    Architecture::Resnet,
    Architecture::Resnet18,
    Architecture::Resnet34,
    Architecture::Resnet50,
    Architecture::EfficientnetLite0,
    Architecture::Mobilenetv4ConvSmall,
];

fn counts(architecture: Architecture, classes: usize, width: usize, height: usize) -> ParameterCounts {
    ParameterCounts::of(&graph(architecture, classes, [width, height]).unwrap())
}

#[test]
fn parameter_counts_are_the_notebooks_and_timms() {
    let count = |trainable, non_trainable| ParameterCounts { trainable, non_trainable };
    assert_eq!(counts(Architecture::BaselineCnn, 19, 128, 128), count(3_491_603, 0));
    assert_eq!(counts(Architecture::Resnet, 19, 128, 128), count(1_157_011, 256));
    for (architecture, trainable) in [
        (Architecture::Resnet18, 11_689_512),
        (Architecture::Resnet34, 21_797_672),
        (Architecture::Resnet50, 25_557_032),
        (Architecture::EfficientnetLite0, 4_652_008),
        (Architecture::Mobilenetv4ConvSmall, 3_774_024),
    ] {
        assert_eq!(counts(architecture, 1000, 224, 224).trainable, trainable, "{architecture:?}");
    }
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
            "19x64 -> max pooling 2x2 -> 9x32 -> max pooling 2x2 -> 4x16 -> conv 3x3 -> 2x14 -> conv 3x3 does not fit",
        ),
        (Architecture::Resnet18, 0, 9, "0x9 -> conv 7x7 stride 2 does not fit"),
    ];
    for (architecture, width, height, arithmetic) in cases {
        let error = graph(architecture, 19, [width, height]).err().unwrap().to_string();
        assert!(error.contains(arithmetic), "{error}");
    }
}

#[test]
fn smallest_images_are_accepted() {
    assert_eq!(counts(Architecture::Resnet, 2, 11, 11).non_trainable, 256);
    assert_eq!(counts(Architecture::BaselineCnn, 2, 24, 24).non_trainable, 0);
    assert_eq!(counts(Architecture::Resnet18, 2, 32, 32).non_trainable, 9600);
    let error = graph(Architecture::Resnet, 1, [64, 64]).err().unwrap();
    assert!(error.message().contains("at least two classes"));
}

#[test]
fn names_are_unique_and_the_summary_adds_up() {
    for architecture in ALL {
        let graph = graph(architecture, 19, [128, 128]).unwrap();
        let names: Vec<String> =
            graph.nodes().iter().flat_map(|node| graph.parameters(node)).map(|parameter| parameter.name).collect();
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{architecture:?}");
        let total = ParameterCounts::of(&graph).total();
        let line = table(&graph).lines().find(|line| line.starts_with("Total parameters")).unwrap().to_owned();
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits, total.to_string(), "{architecture:?}");
    }
}
