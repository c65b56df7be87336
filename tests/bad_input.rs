//! Messy folders, damaged files and wrong calls: a clear error or a recorded finding, never a panic or a wrong result.

use crate::harness::{Bench, SMALL_PREPROCESS, SMALL_TRAIN, fashion_images};
use preprocess::dataset::Dataset;

fn bench_with(classes: &[(&str, usize)]) -> Bench {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("images")).unwrap();
    for (index, (class, count)) in classes.iter().enumerate() {
        std::fs::create_dir_all(bench.path("images").join(class)).unwrap();
        let from = ["bag", "trouser", "sneaker", "coat"][index % 4];
        for (name, bytes) in fashion_images(from).into_iter().take(*count) {
            bench.write(&format!("images/{class}/{name}"), bytes);
        }
    }
    bench.pipeline(SMALL_PREPROCESS, SMALL_TRAIN, "");
    bench
}

#[test]
fn folders_that_cannot_be_used() {
    type Case<'a> = (&'a str, &'a [(&'a str, usize)], &'a [&'a str]);
    let cases: [Case; 4] = [
        ("no class directories", &[], &["images"]),
        ("one class", &[("bag", 20)], &["bag", "two classes"]),
        ("an empty class", &[("bag", 20), ("coat", 20), ("nothing", 0)], &["nothing"]),
        ("only empty classes", &[("a", 0), ("b", 0)], &["images"]),
    ];
    for (name, classes, words) in cases {
        println!("case: {name}");
        bench_with(classes).stage("preprocess", &[]).fails_naming(words);
    }
}

#[test]
fn a_missing_source_is_named() {
    let bench = bench_with(&[("a", 5), ("b", 5)]);
    bench.stage("preprocess", &["--set", "preprocess.source=no/such/place"]).fails_naming(&["no/such/place"]);
}

#[test]
fn odd_class_names_arrive_unchanged() {
    let names = ["with space", "häuser 日本", "it's \"quoted\", <b>&|", "10", "9"];
    let bench = bench_with(&names.map(|name| (name, 12)));
    bench.run_all();
    let dataset = Dataset::open(&bench.path("out/shards")).unwrap();
    for name in names {
        assert!(dataset.manifest().classes.iter().any(|class| class == name), "{:?}", dataset.manifest().classes);
    }
    let position = |name: &str| dataset.manifest().classes.iter().position(|class| class == name).unwrap();
    assert!(position("9") < position("10"), "digits are ordered by value");
    let html = std::fs::read_to_string(bench.path("out/report/report.html")).unwrap();
    assert!(!html.contains("<b>&|"), "a class name reached the page as markup");
}

#[test]
fn damaged_and_foreign_files_are_listed_and_passed_over() {
    let bench = bench_with(&[("bag", 20), ("coat", 20)]);
    let image = fashion_images("bag").remove(50).1;
    bench.write("images/bag/zero-byte.png", "");
    bench.write("images/bag/cut-short.png", &image[..image.len() / 2]);
    bench.write("images/bag/notes.txt", "not an image");
    bench.write("images/bag/text-named.jpg", "not an image either");
    bench.write("images/bag/.hidden.png", &image);
    bench.write("images/bag/really-a-png.jpg", &image);
    bench.write("images/bag/gigantic.png", gigantic_png());
    bench.write("images/.cache/thumbnail.png", &image);
    bench.write("images/readme.md", "beside the classes");
    bench.stage("preprocess", &[]).succeeds();
    let dataset = Dataset::open(&bench.path("out/shards")).unwrap();
    let images: usize = dataset.manifest().counts.values().flatten().sum();
    assert_eq!(images, 41, "40 and the PNG that is named .jpg");
    let rejected = std::fs::read_to_string(bench.path("out/shards/rejected.csv")).unwrap();
    for name in ["cut-short.png", "gigantic.png"] {
        assert!(rejected.contains(name), "{name} is not listed:\n{rejected}");
    }
    bench.stage("preprocess", &["--set", "preprocess.unreadable=fail"]).fails_naming(&[
        "images/bag/",
        ".png",
        "unreadable",
    ]);
}

/// A PNG whose header declares 60,000x60,000 pixels.
fn gigantic_png() -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = b"IHDR".to_vec();
    header.extend(60_000u32.to_be_bytes());
    header.extend(60_000u32.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    for chunk in [header, b"IDAT\x78\x9c\x03\x00\x00\x00\x00\x01".to_vec()] {
        file.extend(((chunk.len() - 4) as u32).to_be_bytes());
        file.extend(&chunk);
        file.extend(crc32(&chunk).to_be_bytes());
    }
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn a_class_without_a_training_image_is_refused() {
    let bench = Bench::new();
    for (directory, class, skip) in
        [("train", "bag", 0), ("train", "coat", 20), ("test", "bag", 40), ("test", "dress", 0)]
    {
        for (name, bytes) in fashion_images(class).into_iter().skip(skip).take(10) {
            bench.write(&format!("images/{directory}/{class}/{name}"), bytes);
        }
    }
    bench.pipeline(SMALL_PREPROCESS, SMALL_TRAIN, "");
    bench.stage("preprocess", &[]).fails_naming(&["dress"]);
}

#[test]
fn damaged_shards_are_named_and_rewritten() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let intact = bench.files("out/shards");
    let shard = intact.keys().find(|name| name.starts_with("data/train-")).unwrap().clone();
    let path = bench.path("out/shards").join(&shard);
    let bytes = &intact[&shard];
    let mut altered = bytes.clone();
    altered[bytes.len() / 2] ^= 1;
    for (case, damage) in
        [("truncated", Some(&bytes[..bytes.len() / 2])), ("altered", Some(&altered[..])), ("missing", None)]
    {
        println!("case: {case}");
        match damage {
            Some(damage) => std::fs::write(&path, damage).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let args = ["--set", "train.models.small.augmented=false"];
        bench.stage("train", &args).fails_naming(&[&shard, "preprocess"]);
        bench.stage("preprocess", &[]).succeeds();
        assert!(bench.files("out/shards") == intact, "{case}: preprocess brings the shard back");
    }
}

#[test]
fn stages_out_of_order_say_which_to_run_first() {
    let bench = Bench::small();
    bench.stage("train", &[]).fails_naming(&["preprocess"]);
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("report", &[]).fails_naming(&["train"]);
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("train", &["--set", "train.models.small.epochs=1"]).succeeds();
    let model = "out/models/small";
    let weights = std::fs::read(bench.path(model).join("model.safetensors")).unwrap();

    bench.run("train", &["predict", "--model", "images", "images/bag"]).fails_naming(&["images"]);
    bench.run("train", &["predict", "--model", model, "no-such-file.png"]).fails_naming(&["no-such-file.png"]);
    bench.fashion("other", &["coat", "bag"], 5);
    bench.run("train", &["evaluate", "--model", model, "--images", "other"]).fails_naming(&["coat"]);

    std::fs::write(bench.path(model).join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    bench.run("train", &["predict", "--model", model, "images/bag"]).fails_naming(&["model.safetensors"]);
    let mut altered = weights.clone();
    *altered.last_mut().unwrap() ^= 1;
    std::fs::write(bench.path(model).join("model.safetensors"), &altered).unwrap();
    bench.run("train", &["predict", "--model", model, "images/bag"]).fails_naming(&["model.safetensors", "checksum"]);
    std::fs::write(bench.path(model).join("model.safetensors"), &weights).unwrap();

    let config = bench.path(model).join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"width\": 28", "\"width\": 64")).unwrap();
    bench.run("train", &["predict", "--model", model, "images/bag"]).fails_naming(&["config.json", "undo the change"]);
    // As a program would that computes the checksum too.
    for (width, word) in [("64", "model.safetensors"), ("4000", "model.safetensors"), ("4294967296", "image.width")] {
        let mut forged: serde_json::Value = serde_json::from_str(&text).unwrap();
        forged.as_object_mut().unwrap().shift_remove("checksum");
        let forged = format!("{forged:#}").replace("\"width\": 28", &format!("\"width\": {width}"));
        std::fs::write(&config, preprocess::stage::sealed::seal(&forged).unwrap()).unwrap();
        bench.run("train", &["predict", "--model", model, "images/bag"]).fails_naming(&[word]);
    }
    // Likewise weights that are no numbers, or so large that sums overflow.
    for (value, word) in
        [(f32::NAN, "not finite numbers"), (f32::INFINITY, "not finite numbers"), (f32::MAX, "overflow")]
    {
        let mut bytes = weights.clone();
        let floats = bytes.len() - 4096;
        bytes[floats..].as_chunks_mut::<4>().0.fill(value.to_le_bytes());
        let mut forged: serde_json::Value = serde_json::from_str(&text).unwrap();
        forged.as_object_mut().unwrap().shift_remove("checksum");
        forged["run"]["files"]["model.safetensors"] = preprocess::stage::fingerprint::of_bytes(&bytes).into();
        std::fs::write(bench.path(model).join("model.safetensors"), &bytes).unwrap();
        std::fs::write(&config, preprocess::stage::sealed::seal(&format!("{forged:#}")).unwrap()).unwrap();
        let images = ["predict", "--model", model, "images/bag"];
        bench.run("train", &images).fails_naming(&[word]);
        bench.run("train", &["evaluate", "--model", model, "--images", "images"]).fails_naming(&[word]);
    }
}

#[test]
fn too_small_images_are_refused_with_the_arithmetic() {
    let bench = Bench::small();
    let small = ["--set", "preprocess.image.width=8", "--set", "preprocess.image.height=8"];
    bench.stage("preprocess", &small).succeeds();
    bench.stage("train", &small).fails_naming(&["8x8", "7x7"]);
}

#[test]
fn misspelt_settings_are_refused_by_every_stage_before_any_work() {
    let bench = Bench::small();
    for stage in ["preprocess", "train", "report"] {
        bench
            .stage(stage, &["--set", "train.models.small.epohs=3"])
            .fails_naming(&["train.models.small.epohs", "epochs"]);
    }
    assert!(!bench.path("out/shards").exists(), "nothing was done");
}

#[test]
fn a_model_without_its_timings_is_completed_again() {
    let bench = Bench::small();
    bench.run_all();
    std::fs::remove_file(bench.path("out/models/small/timings.csv")).unwrap();
    bench.stage("train", &[]).succeeds();
    bench.stage("report", &[]).succeeds();
}

#[test]
fn a_class_whose_images_all_look_alike_is_warned_of() {
    let bench = bench_with(&[("bag", 20), ("coat", 20)]);
    let image = fashion_images("sneaker").remove(0).1;
    for index in 0..10 {
        bench.write(&format!("images/same/{index}.png"), &image);
    }
    bench.stage("preprocess", &[]).succeeds().says("no image of `same` is in the test split");
}

#[test]
fn a_class_of_broken_images_is_refused_and_the_list_says_why() {
    let bench = bench_with(&[("bag", 20), ("coat", 20)]);
    bench.write("images/broken/1.png", &fashion_images("bag")[0].1[..60]);
    bench.stage("preprocess", &[]).fails_naming(&["broken", "rejected.csv"]);
    let rejected = std::fs::read_to_string(bench.path("out/shards/rejected.csv")).unwrap();
    assert!(rejected.contains("broken/1.png"), "{rejected}");
}
