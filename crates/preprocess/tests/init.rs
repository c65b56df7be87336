//! `preprocess init` on folders as people have them: the file that it prints loads and fits.
#![allow(clippy::unwrap_used, missing_docs)]

use preprocess::pipeline::{Architecture, Filter, Fit, Pipeline, Tune};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A binary PPM of this size, different for each number.
fn image(width: usize, height: usize, number: usize) -> Vec<u8> {
    let mut bytes = format!("P6 {width} {height} 255\n").into_bytes();
    let header = bytes.len();
    bytes.extend((0..width * height * 3).map(|at| (at * 31) as u8));
    bytes[header..header + 8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn folder(classes: &[(&str, usize)], [width, height]: [usize; 2]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (at, (class, count)) in classes.iter().enumerate() {
        fs::create_dir_all(directory.path().join(class)).unwrap();
        for number in 0..*count {
            let file = directory.path().join(class).join(format!("{number}.ppm"));
            fs::write(file, image(width, height, 1000 * at + number)).unwrap();
        }
    }
    directory
}

fn init(source: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_preprocess")).arg("init").arg(source).args(arguments).output().unwrap()
}

/// The printed file, and what it loads to.
fn written(source: &Path, arguments: &[&str]) -> (String, Pipeline) {
    let output = init(source, arguments);
    let (text, notes) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{notes}");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &text).unwrap();
    let pipeline = Pipeline::load(file.path(), &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, pipeline)
}

/// A safetensors file with these arrays, as far as its header goes.
fn weights(directory: &Path, arrays: &[(&str, [usize; 4])]) -> std::path::PathBuf {
    let header: String = arrays.iter().map(|(name, shape)| format!("\"{name}\": {{\"shape\": {shape:?}}},")).collect();
    let header = format!("{{{}}}", header.trim_end_matches(','));
    let file = directory.join("backbone.safetensors");
    fs::write(&file, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
    file
}

#[test]
fn a_messy_folder_gets_a_file_that_says_what_was_found() {
    let directory = folder(&[("cats", 12), ("dogs, \"large\"", 60)], [30, 20]);
    let root = directory.path();
    fs::write(root.join("cats/broken.jpg"), b"\xff\xd8\xff\xe0 no more").unwrap();
    fs::copy(root.join("cats/0.ppm"), root.join("cats/copy.ppm")).unwrap();
    fs::write(root.join("cats/notes.txt"), "mine").unwrap();
    let (text, pipeline) = written(root, &["--name", "pets"]);
    for says in [
        "# 74 images of 2 classes",
        "14 (cats) to 60 (dogs, \"large\") a class",
        "30x20 pixels in the median",
        "# 1 file cannot be read and will be left out: cats/broken.jpg",
        "# 1 file has the same content as another one",
        "  # of few images",
    ] {
        let plain = says.trim_start_matches("  # ");
        assert!(text.contains(plain), "no `{plain}` in:\n{text}");
    }
    assert!(!text.contains("far from balanced"));
    assert_eq!((pipeline.name.as_str(), pipeline.preprocess.source.as_path()), ("pets", root));
    assert_eq!(pipeline.preprocess.split.test, 0.2);
    let models: Vec<_> = pipeline.train.models.iter().collect();
    assert_eq!(models.len(), 1);
    assert_eq!((models[0].1.architecture, &models[0].1.pretrained), (Architecture::Resnet, &None));
    // The model that is one uncomment away loads too.
    let (from, to) = ("    # pretrained:", "    pretrained:");
    assert!(text.contains(from));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text.replace(from, to)).unwrap();
    assert_eq!(Pipeline::load(file.path(), &[]).unwrap().train.models.len(), 2);
}

#[test]
fn pretrained_weights_give_a_head_and_what_follows_from_them() {
    let directory = folder(&[("a", 110), ("b", 700)], [300, 250]);
    let elsewhere = tempfile::tempdir().unwrap();
    let names = [("conv_head.weight", [1280, 320, 1, 1]), ("blocks.6.0.conv_pwl.weight", [320, 1152, 1, 1])];
    let file = weights(elsewhere.path(), &names);
    let (text, pipeline) = written(directory.path(), &["--pretrained", file.to_str().unwrap()]);
    let head = &pipeline.train.models["head"];
    assert_eq!((head.architecture, head.tuned()), (Architecture::EfficientnetLite0, Tune::Head));
    assert_eq!(head.pretrained.as_deref(), file.to_str());
    assert_eq!((pipeline.preprocess.image.width, pipeline.preprocess.image.filter), (224, Filter::Bicubic));
    assert_eq!(pipeline.preprocess.split.test, 0.1);
    assert!(text.contains("far from balanced"), "{text}");
    // What the file beside the weights says counts.
    let config = "{\"architecture\": \"resnet18\", \"pretrained_cfg\": {\"input_size\": [3, 192, 192], \
                  \"interpolation\": \"bilinear\", \"crop_pct\": 0.875}}";
    fs::write(elsewhere.path().join("config.json"), config).unwrap();
    let (_, other) = written(directory.path(), &["--pretrained", file.to_str().unwrap()]);
    assert_eq!(other.train.models["head"].architecture, Architecture::Resnet18);
    let image = &other.preprocess.image;
    assert_eq!((image.width, image.filter, image.fit, image.crop_fraction), (192, Filter::Bilinear, Fit::Crop, 0.875));
    for line in ["    # all:", "    # scratch:"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text.replace(line, &line.replace("# ", ""))).unwrap();
        assert_eq!(Pipeline::load(file.path(), &[]).unwrap().train.models.len(), 2, "{line}");
    }
    let small = folder(&[("a", 3), ("b", 3)], [60, 60]);
    let (_, pipeline) = written(small.path(), &["--pretrained", "timm/resnet18.a1_in1k"]);
    assert_eq!(pipeline.train.models["head"].architecture, Architecture::Resnet18);
    assert_eq!(pipeline.preprocess.image.width, 128);
}

#[test]
fn given_splits_and_odd_names_are_kept() {
    let directory = folder(&[("train/x", 4), ("train/y", 4), ("test/x", 2), ("test/y", 2)], [30, 30]);
    let (text, pipeline) = written(directory.path(), &[]);
    assert!(text.contains("The directories give the split: train 8, validation 0, test 4 images"), "{text}");
    // There is no validation directory.
    assert!(text.contains("  split: { validation: 0.2 }   # what has no directory is taken from train/"), "{text}");
    assert!(!pipeline.name.is_empty());

    let parent = tempfile::tempdir().unwrap();
    for name in ["with space", "a: b #c", "-dash", "it's \"q\"", "line\nbreak", "ünï 猫", "{x}"] {
        let source = parent.path().join(name);
        let made = folder(&[("one\ntwo", 2), ("b", 2)], [8, 8]);
        fs::rename(made.path(), &source).unwrap();
        let (text, pipeline) = written(&source, &[]);
        assert_eq!(pipeline.preprocess.source, source, "{name:?}");
        assert!(text.lines().filter(|line| line.contains("two")).all(|line| line.starts_with('#')), "{text}");
    }
}

#[test]
fn what_no_pipeline_can_be_written_for_is_named() {
    let one = folder(&[("only", 3)], [8, 8]);
    let empty = folder(&[("a", 3), ("b", 0)], [8, 8]);
    let damaged = folder(&[("a", 0), ("b", 0)], [8, 8]);
    for class in ["a", "b"] {
        fs::write(damaged.path().join(class).join("x.jpg"), b"\xff\xd8\xff\xe0 no more").unwrap();
    }
    let good = folder(&[("a", 3), ("b", 3)], [8, 8]);
    for (source, arguments, says) in [
        (Path::new("/no/such/folder"), &[][..], "/no/such/folder"),
        (one.path(), &[], "only one class"),
        (empty.path(), &[], "holds no images"),
        (damaged.path(), &[], "none of the images"),
        (good.path(), &["--pretrained", "nowhere.safetensors"], "nowhere.safetensors"),
        (good.path(), &["--pretrained", "timm/vit_tiny"], "cannot be told"),
        (good.path(), &["--name", "a/b"], "cannot be the name of a directory"),
    ] {
        let output = init(source, arguments);
        let notes = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {notes}");
        assert!(output.stdout.is_empty() && notes.contains(says), "{arguments:?}: {notes}");
    }
}
