//! Files that one run writes and another reads, altered in many ways: the next run heals what is a cache, refuses what
//! is a result by the name of a file, and never panics, hangs or believes.
//!
//! One test goes through some hundred alterations; `make fuzz` through as many as FUZZ_ROUNDS says, from FUZZ_SEED on.

use crate::harness::{Bench, Finished};
use preprocess::stage::random::{self, Random};
use preprocess::stage::{fingerprint, sealed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a stage may do with an altered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// The stage's output is that of an undisturbed run.
    Heal,
    /// So it is, or the stage ends with exit code 2 and names a file of the output.
    HealOrRefuse,
    /// As before; or, since a forger has computed new checksums, the stage ends well with what it was told.
    AnythingInOrder,
}

/// A small run in its finished state, and how it looks to each stage.
struct Run {
    bench: Bench,
    /// All files of the output, hidden ones too.
    finished: BTreeMap<PathBuf, Vec<u8>>,
    /// The same of a run that stopped before its shards were published, with the pixels that it kept.
    unfinished: BTreeMap<PathBuf, Vec<u8>>,
    /// The same of a run with another seed.
    other: BTreeMap<PathBuf, Vec<u8>>,
    predicted: String,
}

const PREDICT: [&str; 6] = ["predict", "--model", "out/models/small", "images/bag", "--format", "json"];

impl Run {
    fn new() -> Self {
        let bench = Bench::new();
        bench.fashion("images", &["trouser", "bag", "sneaker"], 10);
        bench.pipeline(
            "source: images\nimage: { width: 16, height: 16 }\nsplit: { validation: 0.2, test: 0.2, seed: 1 }\n\
             augment: { copies: 1, shift: [0.1, 0.1] }",
            "batch_size: 8\ndevice: cpu\nmodels:\n  small: { architecture: resnet, augmented: true, epochs: 3 }",
            "",
        );
        // A shard cannot be written: what a run keeps until it is finished stays.
        let in_the_way = bench.path("out/shards/data/train-00000-of-00002.parquet");
        std::fs::create_dir_all(in_the_way.join("directory")).unwrap();
        bench.stage("preprocess", &[]).ends_with(2);
        std::fs::remove_dir_all(&in_the_way).unwrap();
        let unfinished = all_files(&bench.path("out"));
        assert!(unfinished.contains_key(Path::new("shards/.state/pixels.json")), "{:?}", unfinished.keys());
        let all = |bench: &Bench, arguments: &[&str]| {
            for stage in ["preprocess", "train", "report"] {
                bench.stage(stage, arguments).succeeds();
            }
            all_files(&bench.path("out"))
        };
        let other = all(&bench, &["--set", "preprocess.split.seed=2", "--set", "train.seed=2"]);
        std::fs::remove_dir_all(bench.path("out")).unwrap();
        let finished = all(&bench, &[]);
        let predicted = bench.run("train", &PREDICT).succeeds().stdout;
        Self { bench, finished, unfinished, other, predicted }
    }

    fn restore(&self, files: &BTreeMap<PathBuf, Vec<u8>>) {
        let out = self.bench.path("out");
        let _ = std::fs::remove_dir_all(&out);
        for (name, bytes) in files {
            std::fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
            std::fs::write(out.join(name), bytes).unwrap();
        }
    }

    /// Runs what reads the file, and judges what came of it.
    fn try_out(&self, name: &Path, state: &BTreeMap<PathBuf, Vec<u8>>, allowed: Allowed, what: &str) {
        let shards = name.starts_with("shards");
        if shards {
            let finished = self.bench.stage("preprocess", &[]);
            let data_set = |file: &Path| file.starts_with("shards") && !is_hidden(file);
            self.judge(
                finished,
                if allowed == Allowed::HealOrRefuse { Allowed::Heal } else { allowed },
                data_set,
                what,
            );
            // Once more as it was altered, for the reader.
            return self.try_reader(name, state, allowed, what);
        }
        let predicted = self.bench.run("train", &PREDICT);
        assert!(
            predicted.code == Some(2) || allowed == Allowed::AnythingInOrder || predicted.stdout == self.predicted,
            "{what}: another prediction\n{predicted}"
        );
        in_order(&predicted, what);
        in_order(&self.bench.stage("report", &[]), what);
        let model = |file: &Path| {
            let name = file.file_name().unwrap().to_string_lossy();
            file.starts_with("models/small") && !name.starts_with("timings") && !name.starts_with("epoch-")
        };
        self.judge(self.bench.stage("train", &[]), allowed, model, what);
    }

    /// Training refuses altered shards; it has nothing to do with the state of preprocessing.
    fn try_reader(&self, name: &Path, state: &BTreeMap<PathBuf, Vec<u8>>, allowed: Allowed, what: &str) {
        if is_hidden(name) || state.len() != self.finished.len() {
            return;
        }
        let altered = std::fs::read(self.bench.path("altered")).ok();
        self.restore(state);
        match altered {
            Some(bytes) => std::fs::write(self.bench.path("out").join(name), bytes).unwrap(),
            None => std::fs::remove_file(self.bench.path("out").join(name)).unwrap(),
        }
        // Another number of epochs: there is something to do.
        let trained = self.bench.stage("train", &["--set", "train.models.small.epochs=4"]);
        in_order(&trained, what);
        let read = name.ends_with("manifest.json") || name.starts_with("shards/data");
        assert!(!read || allowed == Allowed::AnythingInOrder || trained.code == Some(2), "{what}: believed\n{trained}");
    }

    fn judge(&self, finished: Finished, allowed: Allowed, is_compared: impl Fn(&Path) -> bool, what: &str) {
        in_order(&finished, what);
        if allowed == Allowed::AnythingInOrder {
            return;
        }
        if finished.code == Some(2) {
            assert!(allowed != Allowed::Heal, "{what}: a cache is no reason to stop\n{finished}");
            assert!(finished.stderr.contains("out/") && finished.stderr.contains("hint: "), "{what}\n{finished}");
            return;
        }
        let found = all_files(&self.bench.path("out"));
        for (name, bytes) in self.finished.iter().filter(|(name, _)| is_compared(name)) {
            assert!(found.get(name) == Some(bytes), "{what}: {} is not as it should be\n{finished}", name.display());
        }
    }
}

/// Ends by itself with 0 or 2, and an error has its message.
fn in_order(finished: &Finished, what: &str) {
    assert!(matches!(finished.code, Some(0 | 2)), "{what}\n{finished}");
    assert!(!finished.stderr.contains("panicked") && !finished.stdout.contains("NaN"), "{what}\n{finished}");
    assert!(finished.code == Some(0) || finished.stderr.contains("error: "), "{what}\n{finished}");
}

fn is_hidden(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
}

fn all_files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(directory).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Bytes altered without a thought for what they mean; none where the file is to go.
fn damage(bytes: &[u8], other: Option<&Vec<u8>>, random: &mut Random) -> (String, Option<Vec<u8>>) {
    let mut altered = bytes.to_vec();
    let at = random.below(bytes.len().max(1));
    let kind = ["a bit", "cut short", "zeros", "a block twice", "empty", "gone", "noise", "another run's"];
    let kind = kind[random.below(kind.len())];
    match kind {
        "a bit" if !bytes.is_empty() => altered[at] ^= 1 << random.below(8),
        "cut short" => altered.truncate(at),
        "zeros" => altered[at..].iter_mut().take(64).for_each(|byte| *byte = 0),
        "a block twice" => drop(altered.splice(at..at, bytes[at..].iter().take(200).copied())),
        "empty" => altered.clear(),
        "gone" => return (kind.to_owned(), None),
        "noise" => altered.iter_mut().for_each(|byte| *byte = random.below(256) as u8),
        _ => altered = other.cloned().unwrap_or_default(),
    }
    (format!("{kind} at {at} of {}", bytes.len()), Some(altered))
}

/// A JSON value with one entry removed, doubled, exchanged or replaced; none where nothing changed.
fn rewrite(value: &Value, random: &mut Random) -> Option<(String, Value)> {
    let mut paths = Vec::new();
    pointers(value, String::new(), &mut paths);
    let pointer = &paths[random.below(paths.len())];
    let mut altered = value.clone();
    let kind = random.below(4);
    let at = altered.pointer_mut(pointer)?;
    match (at, kind) {
        (Value::Array(items), 0) if !items.is_empty() => drop(items.remove(random.below(items.len()))),
        (Value::Array(items), 1) if !items.is_empty() => {
            items.push(items[random.below(items.len())].clone());
        }
        (Value::Array(items), 2) if items.len() > 1 => {
            let [a, b] = [(); 2].map(|()| random.below(items.len()));
            items.swap(a, b);
        }
        (Value::Object(map), 0) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len()))?.clone();
            map.shift_remove(&key);
        }
        (Value::Object(map), 1) => drop(map.insert("another".into(), 1.into())),
        (Value::Object(map), 2) if map.len() > 1 => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let [a, b] = [(); 2].map(|()| keys[random.below(keys.len())].clone());
            let (one, two) = (map[&a].clone(), map[&b].clone());
            map.insert(a, two);
            map.insert(b, one);
        }
        (Value::Number(number), _) => {
            let numbers: [Value; 8] = [
                0.into(),
                1.into(),
                (-1).into(),
                (1u64 << 32).into(),
                ((1u64 << 60) + 1).into(),
                u64::MAX.into(),
                1e300.into(),
                (number.as_u64().unwrap_or(7) + 1).into(),
            ];
            *altered.pointer_mut(pointer)? = numbers[random.below(8)].clone();
        }
        (Value::String(text), _) => {
            let texts = ["", "../../images/bag/0.png", "/etc/passwd", "data/train-00000-of-00001.parquet", "\u{1b}[2J"];
            let swapped = texts.get(kind + 1).map_or_else(|| text.to_uppercase(), |text| (*text).to_owned());
            *altered.pointer_mut(pointer)? = swapped.into();
        }
        (at, _) => *at = Value::Null,
    }
    (altered != *value).then(|| (format!("`{pointer}` rewritten ({kind})"), altered))
}

fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, format!("{at}/{index}"), found));
        }
        Value::Object(map) => {
            let escaped = |key: &String| key.replace('~', "~0").replace('/', "~1");
            map.iter().for_each(|(key, item)| pointers(item, format!("{at}/{}", escaped(key)), found));
        }
        _ => {}
    }
    found.push(at);
}

/// The value as the file's text; sealed, or under the seal that it had.
fn print(value: &Value, reseal: bool) -> Option<Vec<u8>> {
    let mut value = value.clone();
    if reseal {
        value.as_object_mut()?.shift_remove("checksum");
        return sealed::seal(&format!("{value:#}")).ok().map(String::into_bytes);
    }
    Some(format!("{value:#}\n").into_bytes())
}

/// One alteration of a file of the run.
fn alter(run: &Run, random: &mut Random) {
    let state = if random.below(4) == 0 { &run.unfinished } else { &run.finished };
    let read: Vec<&PathBuf> = state.keys().filter(|name| is_read(name)).collect();
    let name = read[random.below(read.len())];
    let bytes = &state[name];
    run.restore(state);
    let value = serde_json::from_slice::<Value>(bytes).ok().filter(|_| random.below(3) > 0);
    let reseal = random.below(2) == 0;
    let rewritten = value.and_then(|value| {
        let (what, value) = rewrite(&value, random)?;
        Some((format!("{what}, {}", if reseal { "sealed" } else { "not sealed" }), Some(print(&value, reseal)?)))
    });
    let is_forged = rewritten.is_some() && reseal;
    let (what, altered) = rewritten.unwrap_or_else(|| damage(bytes, run.other.get(name), random));
    let what = format!("{}: {what}", name.display());
    if altered.as_ref() == Some(bytes) {
        return;
    }
    put(run, name, altered.as_deref());
    run.try_out(name, state, if is_forged { Allowed::AnythingInOrder } else { Allowed::HealOrRefuse }, &what);
}

/// Writes an altered file into the run, and aside for whom it is put back later.
fn put(run: &Run, name: &Path, altered: Option<&[u8]>) {
    let (place, aside) = (run.bench.path("out").join(name), run.bench.path("altered"));
    let _ = std::fs::remove_file(&aside);
    match altered {
        Some(bytes) => {
            std::fs::write(&place, bytes).unwrap();
            std::fs::write(&aside, bytes).unwrap();
        }
        None => std::fs::remove_file(&place).unwrap(),
    }
}

/// Files that one run writes and another reads.
fn is_read(name: &Path) -> bool {
    let text = name.to_string_lossy();
    let beside = ["rejected.csv", "contact-sheet.png", ".lock"].iter().any(|file| text.ends_with(file));
    (text.starts_with("shards/") || text.starts_with("models/")) && !beside
}

/// A shard altered by somebody who also computes the manifest's checksums.
fn forge_shard(run: &Run, random: &mut Random) {
    run.restore(&run.finished);
    let shards: Vec<&PathBuf> = run.finished.keys().filter(|name| name.starts_with("shards/data")).collect();
    let name = shards[random.below(shards.len())];
    let (what, Some(altered)) = damage(&run.finished[name], run.other.get(name), random) else { return };
    let manifest = Path::new("shards/manifest.json");
    let mut value: Value = serde_json::from_slice(&run.finished[manifest]).unwrap();
    let file = name.strip_prefix("shards").unwrap().to_str().unwrap();
    let entries = value["shards"].as_array_mut().unwrap();
    let entry = entries.iter_mut().find(|entry| entry["file"] == file).unwrap();
    entry["blake3"] = fingerprint::of_bytes(&altered).into();
    entry["bytes"] = altered.len().into();
    std::fs::write(run.bench.path("out").join(name), &altered).unwrap();
    std::fs::write(run.bench.path("out").join(manifest), print(&value, true).unwrap()).unwrap();
    let trained = run.bench.stage("train", &["--set", "train.models.small.epochs=4"]);
    in_order(&trained, &format!("{} forged: {what}", name.display()));
}

/// A file of the model altered by somebody who also computes the checksums of `config.json`.
fn forge_model(run: &Run, random: &mut Random) {
    run.restore(&run.finished);
    let names = ["model.safetensors", "predictions-test.parquet", "predictions-validation.parquet", "history.csv"];
    let name = names[random.below(4)];
    let file = Path::new("models/small").join(name);
    let (what, Some(altered)) = damage(&run.finished[&file], run.other.get(&file), random) else { return };
    let config = Path::new("models/small/config.json");
    let mut value: Value = serde_json::from_slice(&run.finished[config]).unwrap();
    value["run"]["files"][name] = fingerprint::of_bytes(&altered).into();
    std::fs::write(run.bench.path("out").join(&file), &altered).unwrap();
    std::fs::write(run.bench.path("out").join(config), print(&value, true).unwrap()).unwrap();
    let what = format!("{} forged: {what}", file.display());
    in_order(&run.bench.run("train", &PREDICT), &what);
    in_order(&run.bench.stage("report", &[]), &what);
    in_order(&run.bench.stage("train", &[]), &what);
}

fn campaign(rounds: u64, seed: u64) {
    let run = Run::new();
    for round in 0..rounds {
        println!("round {round} of seed {seed}");
        let mut random = random::stream(seed, "artefacts", &[&round.to_le_bytes()]);
        match random.below(8) {
            0 => forge_shard(&run, &mut random),
            1 => forge_model(&run, &mut random),
            _ => alter(&run, &mut random),
        }
    }
}

#[test]
fn altered_files_are_healed_or_refused() {
    campaign(40, 1);
}

/// `make fuzz`.
#[test]
#[ignore = "as long as FUZZ_ROUNDS says"]
fn fuzz() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    campaign(number("FUZZ_ROUNDS", 2000), number("FUZZ_SEED", 2));
}
