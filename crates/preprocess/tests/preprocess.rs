//! Drives the program on small images: what it writes, that it resumes, and how it meets bad input.

// The helpers are parts of tests, which clippy does not see: they too fail by `expect`.
#![allow(clippy::expect_used)]

use preprocess::dataset::Dataset;
use preprocess::image::{Pixels, decode, load, png};
use preprocess::pipeline::Split;
use preprocess::stage::lock::OutputLock;
use preprocess::stage::random;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A source directory and the place for its runs.
struct Bench {
    root: tempfile::TempDir,
}

const AUGMENT: &str = "augment: { copies: 2, rotation: 20, shift: [0.1, 0.1], zoom: 0.1, horizontal_flip: true }";

impl Bench {
    /// Three classes of 20 pictures each; the last two pictures of a class are near-copies of the first.
    fn new() -> Self {
        let bench = Self { root: tempfile::tempdir().expect("temporary directory") };
        for (label, class) in ["2 cats", "10 dögs", "birds"].iter().enumerate() {
            for index in 0..20 {
                let seed = (label * 100 + if index >= 18 { 0 } else { index }) as u64;
                let brighter = if index >= 18 { (index - 17) as f64 * 8.0 } else { 0.0 };
                bench.write(&format!("images/{class}/{index}.png"), &png_of(&picture(seed, brighter)));
            }
        }
        bench.pipeline(AUGMENT);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, content).expect("file");
    }

    /// Writes the pipeline file with these further settings of `preprocess`.
    fn pipeline(&self, settings: &str) {
        let text = format!(
            "name: test\noutput: {}\npreprocess:\n  source: {}\n  image: {{ width: 32, height: 24 }}\n  {settings}\ntrain:\n  models:\n    a: {{ architecture: resnet }}\n",
            self.path("run").display(),
            self.path("images").display()
        );
        self.write("pipeline.yaml", text.as_bytes());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preprocess"));
        command.arg("--pipeline").arg(self.path("pipeline.yaml")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("started")
    }

    /// Runs the program, which must succeed, and returns what it printed.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Runs the program, which must fail with exit code 2, and returns its error.
    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("error: ") && !text.contains("panicked"), "{text}");
        text
    }

    fn shards(&self) -> PathBuf {
        self.path("run/shards")
    }

    /// Name and content of every file that other programs see.
    fn published(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for directory in [self.shards(), self.shards().join("data")] {
            for entry in fs::read_dir(directory).expect("listable") {
                let path = entry.expect("entry").path();
                if path.is_file() {
                    let name = path.strip_prefix(self.shards()).expect("inside").display().to_string();
                    files.insert(name, fs::read(&path).expect("readable"));
                }
            }
        }
        files
    }
}

/// Smooth blobs at places that `seed` determines.
fn picture(seed: u64, brighter: f64) -> Pixels {
    let (width, height) = (48, 40);
    let mut random = random::stream(seed, "picture", &[]);
    let mut blob = || (random.uniform(), random.uniform(), random.range(0.05, 0.3), random.range(-1.0, 1.0));
    let blobs: Vec<_> = (0..24).map(|_| blob()).collect();
    let value = |x: f64, y: f64| {
        let part =
            |&(bx, by, r, w): &(f64, f64, f64, f64)| w * (-((x - bx).powi(2) + (y - by).powi(2)) / (r * r)).exp();
        (120.0 + brighter + 50.0 * blobs.iter().map(part).sum::<f64>()).clamp(0.0, 255.0) as u8
    };
    let at = |i: usize| value((i % width) as f64 / width as f64, (i / width) as f64 / height as f64);
    Pixels { width, height, data: (0..width * height).flat_map(|i| [at(i), at(i) / 2, 255 - at(i)]).collect() }
}

fn png_of(pixels: &Pixels) -> Vec<u8> {
    png::encode(pixels).expect("encoded")
}

#[test]
fn the_data_set_is_what_the_images_say() {
    let bench = Bench::new();
    let text = bench.succeed(&[]);
    assert!(text.contains("Found 60 images belonging to 3 classes"), "{text}");
    let set = Dataset::open(&bench.shards()).expect("opened");
    let manifest = set.manifest();
    assert_eq!(manifest.classes, ["2 cats", "10 dögs", "birds"]);
    assert_eq!(manifest.counts[&Split::Train].iter().sum::<usize>(), 42);
    assert_eq!((manifest.duplicates.groups, manifest.duplicates.near, manifest.duplicates.across_splits), (3, 9, 0));

    let mut split_of_group = HashMap::new();
    let mut sources = Vec::new();
    for split in Split::ALL {
        let rows = set.rows(split, 0).expect("rows");
        assert_eq!(rows.len(), manifest.counts[&split].iter().sum::<usize>());
        for row in 0..rows.len() {
            let mut pixels = vec![0; 32 * 24 * 3];
            rows.read_pixels(row, &mut pixels).expect("read");
            let file = bench.path("images").join(rows.source(row));
            assert_eq!(rows.size(row), [48, 40], "{}", rows.source(row));
            assert_eq!(pixels, load(&file, &manifest.settings.image).expect("loaded").data, "{}", rows.source(row));
            assert!(rows.source(row).starts_with(&manifest.classes[rows.label(row)]));
            assert_eq!(*split_of_group.entry(rows.group(row)).or_insert(split), split, "{}", rows.source(row));
            sources.push(rows.source(row).to_owned());
        }
    }
    sources.sort();
    sources.dedup();
    assert_eq!(sources.len(), 60);

    let [original, first, second] = [0, 1, 2].map(|copy| set.rows(Split::Train, copy).expect("rows"));
    for row in 0..original.len() {
        assert_eq!(original.source(row), second.source(row), "copies are rows in the same order");
        assert_eq!(second.size(row), [48, 40], "the original's");
        let images = [&original, &first, &second].map(|rows| rows.png_bytes(row).expect("PNG"));
        assert!(images[0] != images[1] && images[1] != images[2], "{}", original.source(row));
    }
    assert!(set.rows(Split::Train, 3).expect_err("no such copy").to_string().contains("its highest copy is 2"));
    assert!(set.rows(Split::Test, 1).is_err(), "the test split is never augmented");
}

#[test]
fn rows_tell_how_large_the_pictures_in_the_files_are() {
    let bench = Bench::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    // Turned by their orientation, decoded at a reduced scale, and of other formats.
    let mut expected = BTreeMap::new();
    for name in ["orientation6.jpg", "orientation6.png", "large-420.jpg", "animated.gif", "rgb.tiff"] {
        let bytes = fs::read(fixtures.join(name)).expect("readable");
        let picture = decode(&bytes).expect("decoded");
        expected.insert(format!("birds/{name}"), [picture.width, picture.height]);
        bench.write(&format!("images/birds/{name}"), &bytes);
    }
    assert_eq!([expected["birds/orientation6.jpg"], expected["birds/large-420.jpg"]], [[16, 24], [141, 107]]);
    // Decoded; remembered, with other shards; decoded at another scale.
    for settings in [&[][..], &["--set", "preprocess.split.seed=2"], &["--set", "preprocess.image.width=300"]] {
        bench.succeed(settings);
        let set = Dataset::open(&bench.shards()).expect("opened");
        let all = Split::ALL.map(|split| set.rows(split, 0).expect("rows"));
        let sized = all.iter().flat_map(|of| (0..of.len()).map(|row| (of.source(row).to_owned(), of.size(row))));
        let sizes: BTreeMap<_, _> = sized.filter(|(name, _)| expected.contains_key(name)).collect();
        assert_eq!(sizes, expected, "{settings:?}");
    }
}

#[test]
fn a_second_run_does_nothing_until_something_changes() {
    let bench = Bench::new();
    bench.succeed(&[]);
    let before = bench.published();
    let text = bench.succeed(&[]);
    assert!(text.contains("up to date"), "{text}");

    // The same bytes at another time are no change.
    let image = bench.path("images/birds/3.png");
    let content = fs::read(&image).expect("readable");
    fs::write(&image, &content).expect("writable");
    assert!(bench.succeed(&[]).contains("up to date"));

    fs::write(&image, png_of(&picture(777, 0.0))).expect("writable");
    assert!(!bench.succeed(&[]).contains("up to date"));
    assert_ne!(bench.published(), before);
    fs::write(&image, content).expect("writable");
    bench.succeed(&[]);
    assert_eq!(bench.published(), before, "the old image gives the old bytes");
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let bench = Bench::new();
    bench.succeed(&["--threads", "1"]);
    let one = bench.published();
    fs::remove_dir_all(bench.path("run")).expect("removed");
    bench.succeed(&["--threads", "5"]);
    assert_eq!(bench.published(), one);
}

#[test]
fn killed_at_any_moment_it_resumes_to_the_same_bytes() {
    let bench = Bench::new();
    bench.succeed(&[]);
    let undisturbed = bench.published();
    let mut killed = 0;
    for milliseconds in (0..60).step_by(4) {
        if milliseconds % 20 == 0 {
            fs::remove_dir_all(bench.path("run")).expect("removed");
        }
        let mut child = bench.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().expect("killed");
        killed += usize::from(child.wait().expect("ended").code().is_none());
        if milliseconds % 20 == 16 {
            bench.succeed(&[]);
            assert_eq!(bench.published(), undisturbed, "killed after up to {milliseconds} ms");
        }
    }
    assert!(killed > 3, "most runs ended before they were killed");
}

/// Parts of originals, and every other change.
const PARTS: &str = "augment: { copies: 2, rotation: 10, random_resized_crop: { area: [0.2, 0.6] }, trivial_augment: true, \
     color: { contrast: 0.3, saturation: 0.3, hue: 0.1 }, grayscale: 0.2, blur: { probability: 0.3 } }";

#[test]
fn copies_of_parts_are_the_same_bytes_for_any_number_of_threads_and_after_any_interruption() {
    let bench = Bench::new();
    bench.pipeline(PARTS);
    bench.succeed(&["--threads", "1"]);
    let one = bench.published();
    assert!(!bench.shards().join(".state/crops").exists(), "nothing is left behind");
    assert!(bench.succeed(&[]).contains("up to date"));
    fs::remove_dir_all(bench.path("run")).expect("removed");
    for milliseconds in [30, 40, 50, 60] {
        let mut child = bench.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    bench.succeed(&["--threads", "5"]);
    assert_eq!(bench.published(), one);
}

#[test]
fn a_copy_of_a_part_does_not_depend_on_how_many_copies_there_are() {
    let bench = Bench::new();
    bench.pipeline(PARTS);
    let rows = |copies: usize| -> Vec<Vec<u8>> {
        bench.succeed(&["--set", &format!("preprocess.augment.copies={copies}")]);
        let set = Dataset::open(&bench.shards()).expect("opened");
        let of = |copy| set.rows(Split::Train, copy).expect("rows");
        let bytes = |copy| (0..of(copy).len()).map(|row| of(copy).png_bytes(row).expect("PNG")).collect::<Vec<_>>();
        [bytes(1), bytes(2)].concat()
    };
    let of_two = rows(2);
    assert!(of_two.iter().collect::<std::collections::BTreeSet<_>>().len() > 80, "copies differ");
    assert_eq!(rows(3), of_two, "two are kept");
    fs::remove_dir_all(bench.path("run")).expect("removed");
    assert_eq!(rows(3), of_two, "as if there had always been three");
}

#[test]
fn a_part_that_is_all_of_the_picture_is_the_picture_in_every_shard() {
    let bench = Bench::new();
    // The pictures' own ratio; so large that the images of a copy fill several shards.
    bench.pipeline("augment: { copies: 2, random_resized_crop: { area: [1, 1], aspect: [1.2, 1.2] } }");
    bench.succeed(&["--set", "preprocess.image={ width: 1000, height: 900 }"]);
    let set = Dataset::open(&bench.shards()).expect("opened");
    let of_training = set.manifest().shards.iter().filter(|shard| shard.split == Split::Train);
    let copies: Vec<usize> = of_training.map(|shard| shard.copy).collect();
    assert_eq!(copies, [0, 0, 1, 1, 2, 2], "in the order of their names, whatever the order of writing");
    let [original, first, second] = [0, 1, 2].map(|copy| set.rows(Split::Train, copy).expect("rows"));
    for row in 0..original.len() {
        let [image, one, two] = [&original, &first, &second].map(|rows| rows.png_bytes(row).expect("PNG"));
        assert!(image == one && image == two, "{}", original.source(row));
        assert_eq!(original.source(row), second.source(row));
    }
}

#[test]
fn a_setting_in_a_section_changes_the_copies_and_nothing_else() {
    let bench = Bench::new();
    bench.succeed(&[]);
    let before = bench.published();
    let shards = |files: &BTreeMap<String, Vec<u8>>, copies: bool| -> Vec<Vec<u8>> {
        let names = files.keys().filter(|name| name.ends_with(".parquet"));
        let of_copies = |name: &&String| name.contains("train-00001") || name.contains("train-00002");
        names.filter(|name| of_copies(name) == copies).map(|name| files[name].clone()).collect()
    };
    assert_eq!((shards(&before, true).len(), shards(&before, false).len()), (2, 3));
    for set in ["grayscale=0.5", "color.hue=0.2", "random_resized_crop={}", "trivial_augment=true", "rand_augment={}"] {
        assert!(!bench.succeed(&["--set", &format!("preprocess.augment.{set}")]).contains("up to date"), "{set}");
        let after = bench.published();
        assert_eq!(shards(&after, false), shards(&before, false), "{set}");
        assert!(std::iter::zip(shards(&after, true), shards(&before, true)).all(|(a, b)| a != b), "{set}");
    }
    bench.succeed(&[]);
    assert_eq!(bench.published(), before);
}

#[test]
fn the_contact_sheet_shows_each_kind_of_change_by_itself() {
    let bench = Bench::new();
    let lines = |settings: &str| {
        bench.pipeline(settings);
        bench.succeed(&[]);
        let sheet = fs::read(bench.shards().join("contact-sheet.png")).expect("readable");
        let height = u32::from_be_bytes(*sheet[20..].first_chunk().expect("a header")) as usize;
        // Margins; a line has a title, the images and a margin.
        (height - 16) as f64 / (14 + 24 + 8) as f64
    };
    assert_eq!(lines(AUGMENT), 6.0, "two images of each class");
    assert_eq!(lines("augment: { copies: 2, grayscale: 0.5 }"), 6.0, "one kind: the copies show it");
    assert_eq!(lines(PARTS), 6.0 + 6.0);
    assert_eq!(lines("augment: { copies: 1, zoom: 0.1, rand_augment: { ops: 1 } }"), 6.0 + 2.0);
    assert_eq!(lines("augment: { copies: 0, zoom: 0.1, rand_augment: { ops: 1 } }"), 6.0);
}

#[test]
fn a_changed_setting_redoes_only_what_depends_on_it() {
    let bench = Bench::new();
    bench.succeed(&[]);
    let modified =
        |name: &str| fs::metadata(bench.shards().join("data").join(name)).expect("there").modified().expect("time");
    let (test, train) = (modified("test-00000-of-00001.parquet"), modified("train-00000-of-00003.parquet"));
    bench.succeed(&["--set", "preprocess.augment.copies=3", "--set", "preprocess.augment.rotation=5"]);
    assert_eq!(modified("test-00000-of-00001.parquet"), test);
    assert_eq!(modified("train-00000-of-00004.parquet"), train, "copy 0 is renamed, not rewritten");
    let changed = bench.published();
    assert_eq!(changed.keys().filter(|name| name.ends_with(".parquet")).count(), 6, "stale shards are gone");

    fs::remove_dir_all(bench.path("run")).expect("removed");
    bench.succeed(&["--set", "preprocess.augment.copies=3", "--set", "preprocess.augment.rotation=5"]);
    assert_eq!(bench.published(), changed, "as if it had never been otherwise");
}

#[test]
fn a_damaged_shard_is_named_and_repaired() {
    let bench = Bench::new();
    bench.succeed(&[]);
    let whole = bench.published();
    let path = bench.shards().join("data/train-00001-of-00003.parquet");
    let content = fs::read(&path).expect("readable");
    let mut altered = content.clone();
    altered[content.len() / 2] ^= 1;
    let damages: [(&str, &dyn Fn()); 3] = [
        ("truncated", &|| fs::write(&path, &content[..content.len() / 2]).expect("written")),
        ("altered", &|| fs::write(&path, &altered).expect("written")),
        ("missing", &|| fs::remove_file(&path).expect("removed")),
    ];
    for (name, damage) in damages {
        damage();
        let error =
            Dataset::open(&bench.shards()).and_then(|set| set.rows(Split::Train, 1)).expect_err(name).to_string();
        assert!(
            error.contains("train-00001-of-00003.parquet") && error.contains("run `preprocess` again"),
            "{name}: {error}"
        );
        bench.succeed(&[]);
        assert_eq!(bench.published(), whole, "{name}");
    }
    fs::remove_file(bench.shards().join("manifest.json")).expect("removed");
    let error = Dataset::open(&bench.shards()).expect_err("no manifest").to_string();
    assert!(error.contains("holds no finished data set"), "{error}");
}

#[test]
fn bad_files_are_findings_or_errors_by_name() {
    let bench = Bench::new();
    let whole = fs::read(bench.path("images/birds/1.png")).expect("readable");
    bench.write("images/birds/cut.png", &whole[..whole.len() / 2]);
    bench.write("images/birds/empty.jpg", b"");
    bench.write("images/birds/page.jpg", b"<html>not found</html>");
    bench.write("images/birds/notes.txt", b"text");
    bench.write("images/birds/.DS_Store", b"hidden");
    bench.write("images/birds/misnamed.jpg", &png_of(&picture(55, 0.0)));
    let text = bench.succeed(&[]);
    assert!(text.contains("1 hidden files or directories, 1 files that are no images"), "{text}");
    let rejected = fs::read_to_string(bench.shards().join("rejected.csv")).expect("readable");
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!((lines[0], lines.len()), ("path,reason", 4), "{rejected}");
    assert!(lines[1].starts_with("birds/cut.png,"), "{rejected}");
    assert_eq!(lines[2], "birds/empty.jpg,the file is empty");
    assert!(lines[3].starts_with("birds/page.jpg,its content is not an image's: it is an HTML page"), "{rejected}");
    let set = Dataset::open(&bench.shards()).expect("opened");
    assert_eq!(set.manifest().rejected, 3);
    assert_eq!(set.manifest().counts.values().map(|counts| counts[2]).sum::<usize>(), 21, "the misnamed PNG is read");

    for fresh in [false, true] {
        if fresh {
            fs::remove_dir_all(bench.path("run")).expect("removed");
        }
        let error = bench.fail(&["--set", "preprocess.unreadable=fail"]);
        assert!(error.contains("birds/cut.png") && error.contains("preprocess.unreadable: skip"), "{error}");
    }
}

#[test]
fn sets_that_cannot_be_used_end_with_exit_code_2() {
    type Case<'a> = (&'a str, &'a dyn Fn(&Bench), &'a str);
    let cases: [Case; 4] = [
        ("no source", &|b| fs::remove_dir_all(b.path("images")).expect("removed"), "cannot read the directory"),
        ("an empty class", &|b| fs::create_dir(b.path("images/empty")).expect("made"), "the class directory `empty`"),
        (
            "a class of undecodable images",
            &|b| b.write("images/broken/1.png", b"\x89PNG\r\n\x1a\n"),
            "the class `broken` has no image that can be decoded",
        ),
        (
            "images in no class",
            &|b| {
                fs::remove_dir_all(b.path("images")).expect("removed");
                b.write("images/1.png", &png_of(&picture(1, 0.0)));
            },
            "holds no class directories",
        ),
    ];
    for (name, spoil, expected) in cases {
        let bench = Bench::new();
        spoil(&bench);
        let error = bench.fail(&[]);
        assert!(error.contains(expected), "{name}: {error}");
        assert!(!bench.shards().join("manifest.json").exists(), "{name}: a manifest of nothing");
    }
}

#[test]
fn two_runs_at_once_on_one_directory_are_refused() {
    let bench = Bench::new();
    let _lock = OutputLock::acquire(&bench.path("run"), "train").expect("locked");
    let error = bench.fail(&[]);
    assert!(error.contains("is in use by `train`"), "{error}");
}

#[test]
fn given_splits_are_respected_and_copies_across_them_reported() {
    let bench = Bench::new();
    fs::remove_dir_all(bench.path("images")).expect("removed");
    for (class, offset) in [("a", 0), ("b", 100)] {
        for index in 0..10 {
            bench.write(&format!("images/train/{class}/{index}.png"), &png_of(&picture(offset + index, 0.0)));
        }
        // One test image is a training image.
        for index in 9..13 {
            bench.write(&format!("images/test/{class}/{index}.png"), &png_of(&picture(offset + index, 0.0)));
        }
    }
    let text = bench.succeed(&[]);
    assert!(text.contains("2 lie in more than one split"), "{text}");
    let set = Dataset::open(&bench.shards()).expect("opened");
    let manifest = set.manifest();
    assert_eq!(Split::ALL.map(|split| manifest.counts[&split].clone()), [vec![8, 8], vec![2, 2], vec![4, 4]]);
    assert_eq!((manifest.duplicates.exact, manifest.duplicates.across_splits), (2, 2));
    let test = set.rows(Split::Test, 0).expect("rows");
    assert!((0..test.len()).all(|row| Path::new(test.source(row)).starts_with("test")));
}

#[test]
fn more_shards_than_a_process_may_hold_open_are_read_all_the_same() {
    let bench = Bench::new();
    bench.succeed(&[]);
    let set = Dataset::open(&bench.shards()).expect("opened");
    let many: Vec<_> = (0..1100).map(|_| set.rows(Split::Train, 0).expect("rows")).collect();
    let pixels = |rows: &preprocess::dataset::Rows| {
        let mut pixels = vec![0; 32 * 24 * 3];
        rows.read_pixels(0, &mut pixels).expect("read");
        pixels
    };
    assert_eq!(pixels(&many[many.len() - 1]), pixels(&many[0]));
    // Where the system says so. Other tests of this process have some files open too.
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let open = open.count();
        assert!(open < 800, "{open} files are open");
    }
}
