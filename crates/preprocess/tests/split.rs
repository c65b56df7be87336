//! Drives the program on small images: where it puts them, that they stay there, and what it says of groups.

// The helpers are parts of tests, which clippy does not see: they too fail by `expect`.
#![allow(clippy::expect_used)]

use preprocess::dataset::Dataset;
use preprocess::image::{Pixels, png};
use preprocess::manifest::Manifest;
use preprocess::pipeline::Split;
use preprocess::stage::random;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A source directory and the place for its runs.
struct Bench {
    root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { root: tempfile::tempdir().expect("temporary directory") }
    }

    /// Two classes of so many different pictures: `cat/0.png`, `dog/0.png` and so on.
    fn of_classes(size: u64) -> Self {
        let bench = Self::new();
        for (class, offset) in [("cat", 0), ("dog", 10_000)] {
            (0..size).for_each(|index| bench.image(&format!("{class}/{index}.png"), &picture(offset + index)));
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn image(&self, name: &str, pixels: &Pixels) {
        let path = self.path("images").join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, png::encode(pixels).expect("encoded")).expect("file");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path("images").join(from), self.path("images").join(to)).expect("renamed");
    }

    /// Runs the program with these settings of `preprocess.split`; returns its exit code and all that it printed.
    fn try_run(&self, split: &str) -> (Option<i32>, String) {
        let text = format!(
            "name: test\noutput: {}\npreprocess:\n  source: {}\n  image: {{ width: 16, height: 16 }}\n  split: {{ {split} }}\ntrain:\n  \
             models:\n    a: {{ architecture: resnet }}\n",
            self.path("run").display(),
            self.path("images").display()
        );
        fs::write(self.path("pipeline.yaml"), text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_preprocess"));
        let output = command.arg("--pipeline").arg(self.path("pipeline.yaml")).current_dir(self.root.path()).output();
        let output = output.expect("started");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), text)
    }

    fn run(&self, split: &str) -> String {
        let (code, text) = self.try_run(split);
        assert_eq!(code, Some(0), "{text}");
        text
    }

    fn fail(&self, split: &str) -> String {
        let (code, text) = self.try_run(split);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("error: ") && !text.contains("panicked"), "{text}");
        text
    }

    fn manifest(&self) -> Manifest {
        Manifest::read(&self.path("run/shards")).expect("a manifest")
    }

    /// The split and group of each image, by path.
    fn placed(&self) -> BTreeMap<String, (Split, usize)> {
        let set = Dataset::open(&self.path("run/shards")).expect("opened");
        let of_split = |split: Split| {
            let rows = set.rows(split, 0).expect("rows");
            (0..rows.len()).map(|row| (rows.source(row).to_owned(), (split, rows.group(row)))).collect::<Vec<_>>()
        };
        Split::ALL.into_iter().flat_map(of_split).collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("readable")
    }
}

/// Smooth blobs at places that `seed` determines.
fn picture(seed: u64) -> Pixels {
    // Multiples of the thumbnail's sides: a mirrored picture's thumbnail is the mirrored one, to the last bit.
    let (width, height) = (64, 64);
    let mut random = random::stream(seed, "picture", &[]);
    let mut blob = || (random.uniform(), random.uniform(), random.range(0.05, 0.3), random.range(-1.0, 1.0));
    let blobs: Vec<_> = (0..24).map(|_| blob()).collect();
    let value = |x: f64, y: f64| {
        let part =
            |&(bx, by, r, w): &(f64, f64, f64, f64)| w * (-((x - bx).powi(2) + (y - by).powi(2)) / (r * r)).exp();
        (120.0 + 50.0 * blobs.iter().map(part).sum::<f64>()).clamp(0.0, 255.0) as u8
    };
    let at = |i: usize| value((i % width) as f64 / width as f64, (i / width) as f64 / height as f64);
    Pixels { width, height, data: (0..width * height).flat_map(|i| [at(i), at(i) / 2, 255 - at(i)]).collect() }
}

fn brighter(pixels: &Pixels) -> Pixels {
    Pixels { data: pixels.data.iter().map(|value| value.saturating_add(6)).collect(), ..*pixels }
}

fn mirrored(pixels: &Pixels) -> Pixels {
    let rows = pixels.data.chunks_exact(pixels.width * 3);
    Pixels { data: rows.flat_map(|row| row.rchunks_exact(3).flatten().copied()).collect(), ..*pixels }
}

#[test]
fn a_new_name_for_a_file_or_a_class_moves_nothing() {
    for near_duplicates in ["together", "ignore"] {
        let bench = Bench::of_classes(30);
        // Exact copies, near-copies, and both across classes.
        bench.image("cat/copy.png", &picture(3));
        bench.image("dog/copy.png", &picture(4));
        bench.image("dog/near.png", &brighter(&picture(10_005)));
        let settings = format!("near_duplicates: {near_duplicates}");
        bench.run(&settings);
        let before = bench.placed();
        bench.rename("cat", "zebra");
        bench.rename("zebra/copy.png", "zebra/0000.png");
        bench.rename("dog/7.png", "dog/a name.png");
        bench.run(&settings);
        let after = bench.placed();
        for (name, (split, _)) in before {
            let new = match name.as_str() {
                "cat/copy.png" => "zebra/0000.png".to_owned(),
                "dog/7.png" => "dog/a name.png".to_owned(),
                name => name.replace("cat/", "zebra/"),
            };
            assert_eq!(after[&new].0, split, "{near_duplicates}: {name}");
        }
    }
}

#[test]
fn the_size_of_the_model_changes_neither_groups_nor_splits() {
    let bench = Bench::of_classes(20);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    fs::copy(fixtures.join("baseline.jpg"), bench.path("images/cat/a.jpg")).expect("copied");
    fs::copy(fixtures.join("progressive.jpg"), bench.path("images/cat/b.jpg")).expect("copied");
    bench.run("");
    let (before, list) = (bench.placed(), bench.read("run/shards/duplicates.csv"));
    for size in ["width: 224, height: 224", "width: 32, height: 8, fit: crop", "width: 9, height: 9, filter: nearest"] {
        let pipeline = bench.read("pipeline.yaml").replace("width: 16, height: 16", size);
        fs::write(bench.path("pipeline.yaml"), pipeline).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_preprocess"));
        let status = command.arg("--pipeline").arg(bench.path("pipeline.yaml")).output().expect("started").status;
        assert!(status.success());
        assert_eq!((bench.placed(), bench.read("run/shards/duplicates.csv")), (before.clone(), list.clone()), "{size}");
        bench.run("");
    }
}

#[test]
fn every_copy_is_listed_with_its_kind() {
    let bench = Bench::of_classes(20);
    bench.image("cat/exact.png", &picture(1));
    bench.image("dog/=near.png", &brighter(&picture(10_002)));
    bench.image("cat/mirrored.png", &mirrored(&picture(10_003)));
    let text = bench.run("");
    let list = bench.read("run/shards/duplicates.csv");
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["group", "path", "class", "split", "kind"]);
    let kinds: Vec<[&str; 3]> = lines[1..].iter().map(|cells| [cells[1], cells[2], cells[4]]).collect();
    assert_eq!(
        kinds,
        [
            ["cat/1.png", "cat", "exact"],
            ["cat/exact.png", "cat", "exact"],
            ["cat/mirrored.png", "cat", "mirrored"],
            ["dog/3.png", "dog", "mirrored"],
            ["dog/2.png", "dog", "near"],
            ["dog/=near.png", "dog", "near"],
        ]
    );
    let placed = bench.placed();
    for cells in &lines[1..] {
        assert_eq!((cells[0], cells[3]), (&*placed[cells[1]].1.to_string(), placed[cells[1]].0.name()), "{cells:?}");
    }
    assert!(text.contains("mixes classes: `cat/mirrored.png`, `dog/3.png`"), "{text}");
}

#[test]
fn kept_splits_stay_and_new_images_join() {
    let bench = Bench::of_classes(40);
    let settings = "keep: splits/pets.csv, test: 0.2";
    bench.run(settings);
    let (first, list) = (bench.placed(), bench.read("splits/pets.csv"));
    assert_eq!(list.lines().count(), 81);
    assert!(bench.run(settings).contains("up to date"));
    let of = |split: Split| first.iter().find(|(_, (is, _))| *is == split).map(|(name, _)| name.clone()).expect("one");
    let of_test = of(Split::Test);
    let seed = |name: &str| {
        let (class, file) = name.split_once('/').expect("a class");
        let number: u64 = file.strip_suffix(".png").and_then(|number| number.parse().ok()).expect("a number");
        number + if class == "dog" { 10_000 } else { 0 }
    };
    bench.image("cat/near-test.png", &brighter(&picture(seed(&of_test))));
    (100..120).for_each(|index| bench.image(&format!("dog/{index}.png"), &picture(index)));
    fs::remove_file(bench.path("images/cat/0.png")).expect("removed");
    // Other fractions and another seed: what is known stays all the same.
    bench.run("keep: splits/pets.csv, test: 0.1, seed: 7");
    let second = bench.placed();
    for (name, (split, _)) in first.iter().filter(|(name, _)| *name != "cat/0.png") {
        assert_eq!(second[name].0, *split, "{name}");
    }
    assert_eq!(second["cat/near-test.png"].0, Split::Test, "a near-copy of a test image");
    let longer = bench.read("splits/pets.csv");
    assert_eq!(longer.lines().count(), 81 + 21);
    assert!(list.lines().all(|line| longer.lines().any(|other| other == line)), "what is gone stays listed");

    fs::write(bench.path("splits/pets.csv"), longer.replace(",test,", ",dev,")).expect("written");
    let error = bench.fail(settings);
    assert!(error.contains("splits/pets.csv`, line ") && error.contains("its split is `dev`"), "{error}");
    fs::write(bench.path("splits/pets.csv"), &longer).expect("written");
    bench.run("keep: splits/pets.csv, test: 0.1, seed: 7");
    assert_eq!(bench.read("splits/pets.csv"), longer);
}

#[test]
fn a_failed_run_writes_no_list_of_kept_splits() {
    let bench = Bench::of_classes(10);
    bench.image("broken/1.png", &picture(50));
    fs::write(bench.path("images/broken/1.png"), b"\x89PNG\r\n\x1a\n").expect("written");
    bench.fail("keep: splits/pets.csv");
    assert!(!bench.path("splits").exists());
}

#[test]
fn directories_that_are_split_need_no_list() {
    let bench = Bench::new();
    for name in ["train/a/1.png", "train/b/1.png", "test/a/1.png"] {
        bench.image(name, &picture(name.len() as u64 + u64::from(name.as_bytes()[6])));
    }
    let error = bench.fail("keep: splits/pets.csv");
    assert!(error.contains("cannot be used with directories that are split already"), "{error}");
}

#[test]
fn given_groups_stay_together_and_join_near_copies() {
    let bench = Bench::new();
    for (class, offset) in [("cat", 0u64), ("dog", 10_000)] {
        for (video, frame) in (0..10u64).flat_map(|video| (0..4).map(move |frame| (video, frame))) {
            bench.image(&format!("{class}/{class}{video}_{frame}.png"), &picture(offset + video * 10 + frame));
        }
        bench.image(&format!("{class}/odd.png"), &picture(offset + 500));
    }
    // A near-copy joins two videos.
    bench.image("cat/cat0_9.png", &brighter(&picture(13)));
    let text = bench.run(r"group_by: '(?P<group>[^/_]+)_\d+'");
    assert!(text.contains("20 groups; 2 images have none and stand alone"), "{text}");
    let placed = bench.placed();
    let mut of_video = BTreeMap::new();
    for (name, (split, group)) in &placed {
        let video = name.split('_').next().expect("a name").replace("cat/cat1", "cat/cat0");
        assert_eq!(*of_video.entry(video).or_insert((*split, *group)), (*split, *group), "{name}");
    }
    let list = bench.read("run/shards/duplicates.csv");
    assert!(list.lines().any(|line| line.ends_with(",given") && line.contains("dog/dog3_2.png")), "{list}");
    assert!(list.lines().any(|line| line.ends_with(",near") && line.contains("cat/cat0_9.png")), "{list}");

    let error = bench.fail("group_by: '(?P<group>patient[0-9]+)'");
    assert!(error.contains("matches no image's path") && error.contains("`cat/cat0_0.png`"), "{error}");
    let error = bench.fail("group_by: '([^/_]+)_'");
    assert!(error.contains("without a group named `group`") && error.contains("pipeline.yaml, line 6"), "{error}");

    fs::write(bench.path("g.csv"), "path,group\ncat/odd.png,x\ndog/odd.png,x\nno.png,y\n").expect("written");
    let text = bench.run("group_by: g.csv");
    assert!(
        text.contains("1 lines of `g.csv` name no image of the source, the first of them `no.png` in line 4"),
        "{text}"
    );
    let placed = bench.placed();
    assert_eq!(placed["cat/odd.png"], placed["dog/odd.png"]);
}

#[test]
fn fractions_that_cannot_be_met_are_said() {
    let bench = Bench::new();
    for index in 0..60u64 {
        let class = format!("class{index}");
        (0..2).for_each(|image| bench.image(&format!("{class}/{image}.png"), &picture(index * 10 + image)));
    }
    let text = bench.run("");
    for split in ["validation", "test"] {
        assert!(text.contains(&format!("60 of 60 classes have no image in the {split} split")), "{text}");
    }
    assert!(text.contains("`class0`, `class1`, `class2`, `class3`, `class4`, and 55 more"), "{text}");
    let unmet = bench.manifest().unmet;
    assert_eq!(unmet.len(), 120);
    assert!(unmet.iter().any(|unmet| unmet.class == "class7" && unmet.split == Split::Test && unmet.images == 0));

    let met = Bench::of_classes(20);
    assert!(!met.run("").contains("warning"));
    assert!(met.manifest().unmet.is_empty());
}
