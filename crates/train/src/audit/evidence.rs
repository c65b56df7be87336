//! `audit/evidence.parquet` and `audit/audit.json` in a pipeline's output directory: what the report judges images by.
//!
//! The Parquet file has a row an image of any split, un-augmented: training, validation and test one after another, in
//! the order of the shards. The JSON file is sealed, names the other's checksum, and is written last.

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use preprocess::pipeline::Split;
use preprocess::stage::atomic_file::write_atomically;
use preprocess::stage::contained::contained;
use preprocess::stage::error::Context;
use preprocess::stage::sealed::{self, Unsealed};
use preprocess::stage::{files, fingerprint};
use preprocess::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

/// Directory in a pipeline's output directory.
pub const AUDIT_DIRECTORY: &str = "audit";

/// File name in the audit's directory.
pub const AUDIT_FILE: &str = "audit.json";

/// File name in the audit's directory.
pub const EVIDENCE_FILE: &str = "evidence.parquet";

/// Changed whenever one of the files gets another form.
pub const FORMAT: u32 = 1;

/// What the evidence is of: `audit.json`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Version of the files' form: [`FORMAT`].
    pub format: u32,
    /// Of all that determines the evidence.
    pub fingerprint: String,
    /// Of the data set that it is of.
    pub dataset_fingerprint: String,
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    /// What made the features.
    pub features: FeatureSource,
    /// Folds that the images outside of the test split are divided into.
    pub folds: usize,
    /// Penalty of the heads that were fitted.
    pub penalty: f64,
    /// BLAKE3 of `evidence.parquet`, in hexadecimal.
    pub evidence: String,
}

/// What made the features that the audit is based on.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureSource {
    /// A pretrained network as it came, which has seen none of the labels: where its weights are from.
    Pretrained(String),
    /// The network of this model of the pipeline, trained on these very labels.
    Trained(String),
}

/// All images, with what is known of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What it is of.
    pub record: Record,
    /// In the order of the rows.
    pub images: Vec<ImageEvidence>,
}

/// What is known of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageEvidence {
    /// Path relative to the source directory.
    pub path: String,
    /// BLAKE3 of the source file, in hexadecimal.
    pub content: String,
    /// BLAKE3 of the image's pixels at the model's size, in hexadecimal: equal ones look equal to every model.
    pub pixels: String,
    /// Its split.
    pub split: Split,
    /// Its group of near-copies, as the shards number them.
    pub group: usize,
    /// Index of the class that it was given.
    pub label: usize,
    /// The fold that it was held back in; none for the test split, which is held back from the fit to all folds.
    pub fold: Option<usize>,
    /// What a head says that was fitted without it and without all images of its fold; one for every class.
    pub probabilities: Vec<f32>,
    /// What heads and neighbours say together, both without the images that are confidently of another class than their
    /// label's: what the label is judged by. One for every class.
    pub label_probabilities: Vec<f32>,
    /// The ten images of other groups with the most similar features, the most similar first, with the cosine of the angle between the two.
    pub neighbours: Vec<Neighbour>,
    /// Rows of images of other groups that are copies of it, cropped, mirrored, recoloured or pressed again: what the search for
    /// near-copies has not found.
    pub copies: Vec<usize>,
    /// Mean cosine to the five most similar images of its class that belong to other groups; none where the class has
    /// no others.
    pub typicality: Option<f32>,
    /// What its pixels show.
    pub picture: PictureStatistics,
}

/// An image that is similar to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its row.
    pub row: usize,
    /// Cosine of the angle between both features, -1 to 1.
    pub similarity: f32,
}

/// What the pixels of an image show, at the model's size unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PictureStatistics {
    /// Pixels of the source file, upright.
    pub width: usize,
    /// Pixels of the source file, upright.
    pub height: usize,
    /// Mean luma, 0 (black) to 255 (white).
    pub brightness: f32,
    /// Standard deviation of the luma.
    pub contrast: f32,
    /// Variance of the luma's Laplacian (4 neighbours): low where nothing is sharp.
    pub sharpness: f32,
    /// Entropy of the luma's histogram of 256 values, in bits, 0 to 8.
    pub entropy: f32,
}

impl Evidence {
    /// Reads the evidence of a pipeline's output directory.
    ///
    /// # Errors
    /// There is none; a file is damaged, altered, of another form, or contradicts itself.
    pub fn read(output: &Path) -> Result<Self> {
        let directory = output.join(AUDIT_DIRECTORY);
        let record = Record::read(&directory)?;
        let file = directory.join(EVIDENCE_FILE);
        let bytes = files::read(&file).context(|| format!("cannot read `{}`", file.display()));
        let bytes = bytes.map_err(|error| error.hint(AGAIN))?;
        if blake3::hash(&bytes).to_hex().as_str() != record.evidence {
            return Err(damaged(&file, "it is not as it was written".into()));
        }
        let images = contained(|| parse(bytes.into(), &record), str::to_owned);
        let images = images.map_err(|reason| damaged(&file, reason))?;
        Ok(Self { record, images })
    }

    /// Writes both files, `audit.json` last; `record.evidence` is set to what was written.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&mut self, directory: &Path) -> Result<()> {
        let file = directory.join(EVIDENCE_FILE);
        let bytes = encode(&self.images).context(|| format!("cannot encode `{}`", file.display()))?;
        write_atomically(&file, |writer| writer.write_all(&bytes))?;
        self.record.evidence = fingerprint::of_bytes(&bytes);
        sealed::write(&directory.join(AUDIT_FILE), &self.record)
    }
}

impl Record {
    /// Reads `audit.json` of the audit's directory.
    ///
    /// # Errors
    /// Missing, altered, of another form.
    pub fn read(directory: &Path) -> Result<Self> {
        let file = directory.join(AUDIT_FILE);
        let record: Self = sealed::read(&file).map_err(|unsealed| match unsealed {
            Unsealed::Missing => {
                Error::new(format!("cannot read `{}`: there is no such file", file.display())).hint(AGAIN)
            }
            Unsealed::Unreadable(reason) | Unsealed::Altered(reason) => damaged(&file, reason),
        })?;
        match record.format {
            FORMAT => Ok(record),
            other => Err(damaged(&file, format!("its format is {other}, this version reads {FORMAT}"))),
        }
    }
}

const AGAIN: &str = "run `train` again with the same pipeline file: it makes the audit anew";

fn damaged(file: &Path, reason: String) -> Error {
    let error = Error::new(format!("`{}` cannot be used", file.display())).of_kind(ErrorKind::Damaged);
    error.because(reason).hint(AGAIN)
}

fn list_of(kind: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", kind, true)))
}

fn schema() -> Schema {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let number = |name| Field::new(name, DataType::Int64, true);
    let real = |name| Field::new(name, DataType::Float32, true);
    Schema::new(vec![
        text("path"),
        text("content"),
        text("pixels"),
        text("split"),
        number("group"),
        number("label"),
        number("fold"),
        Field::new("probabilities", list_of(DataType::Float32), true),
        Field::new("label_probabilities", list_of(DataType::Float32), true),
        Field::new("neighbours", list_of(DataType::Int64), true),
        Field::new("similarities", list_of(DataType::Float32), true),
        Field::new("copies", list_of(DataType::Int64), true),
        real("typicality"),
        number("width"),
        number("height"),
        real("brightness"),
        real("contrast"),
        real("sharpness"),
        real("entropy"),
    ])
}

fn encode(images: &[ImageEvidence]) -> parquet::errors::Result<Vec<u8>> {
    let text =
        |of: fn(&ImageEvidence) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(images.iter().map(of))) };
    let number = |of: fn(&ImageEvidence) -> Option<usize>| -> ArrayRef {
        Arc::new(Int64Array::from_iter(images.iter().map(|image| of(image).map(|number| number as i64))))
    };
    let real = |of: fn(&ImageEvidence) -> Option<f32>| -> ArrayRef {
        Arc::new(Float32Array::from_iter(images.iter().map(of)))
    };
    let columns = vec![
        text(|image| &image.path),
        text(|image| &image.content),
        text(|image| &image.pixels),
        text(|image| image.split.name()),
        number(|image| Some(image.group)),
        number(|image| Some(image.label)),
        number(|image| image.fold),
        reals(images, |image| image.probabilities.clone()),
        reals(images, |image| image.label_probabilities.clone()),
        numbers(images, |image| image.neighbours.iter().map(|neighbour| neighbour.row).collect()),
        reals(images, |image| image.neighbours.iter().map(|neighbour| neighbour.similarity).collect()),
        numbers(images, |image| image.copies.clone()),
        real(|image| image.typicality),
        number(|image| Some(image.picture.width)),
        number(|image| Some(image.picture.height)),
        real(|image| Some(image.picture.brightness)),
        real(|image| Some(image.picture.contrast)),
        real(|image| Some(image.picture.sharpness)),
        real(|image| Some(image.picture.entropy)),
    ];
    let schema = Arc::new(schema());
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None)?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn reals(images: &[ImageEvidence], of: impl Fn(&ImageEvidence) -> Vec<f32>) -> ArrayRef {
    let lists: Vec<Vec<f32>> = images.iter().map(of).collect();
    let values = Arc::new(Float32Array::from_iter_values(lists.iter().flatten().copied()));
    list(DataType::Float32, lists.iter().map(Vec::len), values)
}

fn numbers(images: &[ImageEvidence], of: impl Fn(&ImageEvidence) -> Vec<usize>) -> ArrayRef {
    let lists: Vec<Vec<usize>> = images.iter().map(of).collect();
    let values = Arc::new(Int64Array::from_iter_values(lists.iter().flatten().map(|&number| number as i64)));
    list(DataType::Int64, lists.iter().map(Vec::len), values)
}

fn list(kind: DataType, lengths: impl Iterator<Item = usize>, values: ArrayRef) -> ArrayRef {
    let item = Arc::new(Field::new("item", kind, true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, None))
}

fn parse(bytes: bytes::Bytes, record: &Record) -> Result<Vec<ImageEvidence>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    if builder.schema().fields() != schema().fields() {
        return Err("its columns are not those of the evidence".into());
    }
    let mut images = Vec::new();
    for batch in builder.build().map_err(|error| error.to_string())? {
        append(&batch.map_err(|error| error.to_string())?, &mut images)?;
    }
    for (row, image) in images.iter().enumerate() {
        if let Some(reason) = impossible(image, images.len(), record) {
            return Err(format!("row {row} {reason}"));
        }
    }
    Ok(images)
}

/// What is wrong with a row.
fn impossible(image: &ImageEvidence, rows: usize, record: &Record) -> Option<String> {
    let (classes, folds) = (record.classes.len(), record.folds);
    let is_probability = |value: &f32| (0.0..=1.0001).contains(value);
    let referred = image.neighbours.iter().map(|neighbour| neighbour.row).chain(image.copies.iter().copied());
    if image.label >= classes {
        return Some(format!("is of class {} of {classes}", image.label));
    }
    let are_whole = |said: &[f32]| said.len() == classes && said.iter().all(is_probability);
    if !are_whole(&image.probabilities) || !are_whole(&image.label_probabilities) {
        return Some(format!("has not {classes} probabilities"));
    }
    if image.fold.is_some_and(|fold| fold >= folds) || (image.fold.is_none() != (image.split == Split::Test)) {
        return Some(format!("lies in no fold of {folds}"));
    }
    if referred.into_iter().any(|row| row >= rows) {
        return Some(format!("names a row beyond {rows}"));
    }
    let PictureStatistics { brightness, contrast, sharpness, entropy, .. } = image.picture;
    let measured = [Some(brightness), Some(contrast), Some(sharpness), Some(entropy), image.typicality];
    let similarities = image.neighbours.iter().map(|neighbour| neighbour.similarity);
    if !measured.into_iter().flatten().chain(similarities).all(f32::is_finite) {
        return Some("has a number that is none".into());
    }
    None
}

fn append(batch: &RecordBatch, images: &mut Vec<ImageEvidence>) -> Result<(), String> {
    let of = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"));
    let texts = |name: &str| Ok::<_, String>(of(name)?.as_string::<i32>());
    let (paths, contents, pixels, splits) = (texts("path")?, texts("content")?, texts("pixels")?, texts("split")?);
    for row in 0..batch.num_rows() {
        let optional = |name: &str| {
            let column = of(name)?.as_primitive::<Int64Type>();
            let value = (!column.is_null(row)).then(|| column.value(row));
            value.map(|value| usize::try_from(value).map_err(|_| format!("`{name}` is negative"))).transpose()
        };
        let number = |name: &str| optional(name)?.ok_or_else(|| format!("its column `{name}` has empty cells"));
        let real = |name: &str| {
            let column = of(name)?.as_primitive::<Float32Type>();
            Ok::<_, String>((!column.is_null(row)).then(|| column.value(row)))
        };
        let needed = |name: &str| real(name)?.ok_or_else(|| format!("its column `{name}` has empty cells"));
        let reals = |name: &str| {
            let list = of(name)?.as_list::<i32>().value(row);
            Ok::<_, String>(list.as_primitive::<Float32Type>().values().to_vec())
        };
        let numbers = |name: &str| {
            let list = of(name)?.as_list::<i32>().value(row);
            let values = list.as_primitive::<Int64Type>().values().iter();
            values
                .map(|&value| usize::try_from(value).map_err(|_| format!("`{name}` is negative")))
                .collect::<Result<Vec<_>, _>>()
        };
        let (rows, similarities): (Vec<usize>, Vec<f32>) = (numbers("neighbours")?, reals("similarities")?);
        if rows.len() != similarities.len() {
            return Err("has neighbours without similarities".into());
        }
        let split = Split::ALL.into_iter().find(|split| split.name() == splits.value(row));
        let neighbours = rows.into_iter().zip(similarities);
        images.push(ImageEvidence {
            path: paths.value(row).to_owned(),
            content: contents.value(row).to_owned(),
            pixels: pixels.value(row).to_owned(),
            split: split.ok_or_else(|| format!("`{}` is no split", splits.value(row)))?,
            group: number("group")?,
            label: number("label")?,
            fold: optional("fold")?,
            probabilities: reals("probabilities")?,
            label_probabilities: reals("label_probabilities")?,
            neighbours: neighbours.map(|(row, similarity)| Neighbour { row, similarity }).collect(),
            copies: numbers("copies")?,
            typicality: real("typicality")?,
            picture: PictureStatistics {
                width: number("width")?,
                height: number("height")?,
                brightness: needed("brightness")?,
                contrast: needed("contrast")?,
                sharpness: needed("sharpness")?,
                entropy: needed("entropy")?,
            },
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn record() -> Record {
        Record {
            format: FORMAT,
            fingerprint: "of the evidence".into(),
            dataset_fingerprint: "of the data set".into(),
            classes: ["cat", "dog", "a, \"b\"\n"].map(String::from).to_vec(),
            features: FeatureSource::Pretrained("resnet18.a1_in1k".into()),
            folds: 5,
            penalty: 0.1,
            evidence: String::new(),
        }
    }

    fn image(row: usize) -> ImageEvidence {
        let split = Split::ALL[row % 3];
        ImageEvidence {
            path: format!("cat/{row} ünïcode, \"quoted\".png"),
            content: format!("content {row}"),
            pixels: format!("pixels {row}"),
            split,
            group: row / 2,
            label: row % 3,
            fold: (split != Split::Test).then_some(row % 5),
            probabilities: vec![0.25, 0.5, 0.25],
            label_probabilities: vec![0.25, 0.5, 0.25],
            neighbours: (0..row).map(|row| Neighbour { row, similarity: 0.9 - row as f32 / 10.0 }).collect(),
            copies: (0..row / 2).collect(),
            typicality: row.is_multiple_of(2).then_some(0.7),
            picture: PictureStatistics {
                width: 640,
                height: row,
                brightness: 120.0,
                contrast: 50.5,
                sharpness: 1234.5,
                entropy: 7.25,
            },
        }
    }

    fn evidence(images: usize) -> Evidence {
        Evidence { record: record(), images: (0..images).map(image).collect() }
    }

    /// Writes evidence into the audit's directory of a new output directory.
    fn written(evidence: &mut Evidence) -> tempfile::TempDir {
        let output = tempfile::tempdir().unwrap();
        let directory = output.path().join(AUDIT_DIRECTORY);
        fs::create_dir_all(&directory).unwrap();
        evidence.write(&directory).unwrap();
        output
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_written_is_read(
            images in 0usize..8,
            values in proptest::collection::vec((0.0f32..=1.0, -1.0f32..=1.0, 0usize..1 << 40), 8)
        ) {
            let mut evidence = evidence(images);
            for (image, (probability, typicality, size)) in evidence.images.iter_mut().zip(values) {
                image.probabilities[0] = probability;
                image.typicality = image.typicality.map(|_| typicality);
                (image.picture.width, image.picture.sharpness) = (size, probability * 1e5);
            }
            let output = written(&mut evidence);
            let read = Evidence::read(output.path()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(read, evidence);
        }
    }

    #[test]
    fn features_of_a_trained_model_are_told_apart() {
        let mut evidence = evidence(2);
        evidence.record.features = FeatureSource::Trained("cnn".into());
        let output = written(&mut evidence);
        assert_eq!(Evidence::read(output.path()).unwrap().record.features, FeatureSource::Trained("cnn".into()));
        let text = fs::read_to_string(output.path().join(AUDIT_DIRECTORY).join(AUDIT_FILE)).unwrap();
        assert!(text.contains("\"trained\": \"cnn\""), "{text}");
    }

    #[test]
    fn damaged_files_are_refused() {
        type Damage = fn(&Path);
        let cases: [(&str, Damage, &str); 7] = [
            ("no record", |audit| fs::remove_file(audit.join(AUDIT_FILE)).unwrap(), "there is no such file"),
            ("no evidence", |audit| fs::remove_file(audit.join(EVIDENCE_FILE)).unwrap(), "cannot read"),
            (
                "the record altered",
                |audit| {
                    let text = fs::read_to_string(audit.join(AUDIT_FILE)).unwrap();
                    fs::write(audit.join(AUDIT_FILE), text.replace("\"folds\": 5", "\"folds\": 6")).unwrap();
                },
                "cannot be used",
            ),
            (
                "the evidence cut off",
                |audit| {
                    let bytes = fs::read(audit.join(EVIDENCE_FILE)).unwrap();
                    fs::write(audit.join(EVIDENCE_FILE), &bytes[..bytes.len() / 2]).unwrap();
                },
                "it is not as it was written",
            ),
            (
                "the evidence of other images",
                |audit| fs::write(audit.join(EVIDENCE_FILE), encode(&[image(0)]).unwrap()).unwrap(),
                "it is not as it was written",
            ),
            (
                "another form",
                |audit| sealed::write(&audit.join(AUDIT_FILE), &Record { format: FORMAT + 1, ..record() }).unwrap(),
                "this version reads",
            ),
            ("no Parquet, but vouched for", |audit| vouch_for(audit, b"PAR1 and nothing more"), "cannot be used"),
        ];
        for (name, damage, expected) in cases {
            let output = written(&mut evidence(4));
            damage(&output.path().join(AUDIT_DIRECTORY));
            let error = Evidence::read(output.path()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("run `train` again"), "{name}: {error}");
        }
    }

    /// Evidence of these bytes, with a record that names their checksum.
    fn vouch_for(audit: &Path, bytes: &[u8]) {
        fs::write(audit.join(EVIDENCE_FILE), bytes).unwrap();
        let record = Record { evidence: fingerprint::of_bytes(bytes), ..record() };
        sealed::write(&audit.join(AUDIT_FILE), &record).unwrap();
    }

    #[test]
    fn evidence_that_contradicts_itself_is_refused() {
        type Change = fn(&mut ImageEvidence);
        let cases: [(&str, Change, &str); 10] = [
            ("label", |image| image.label = 3, "is of class 3 of 3"),
            ("too few probabilities", |image| image.probabilities.truncate(2), "has not 3 probabilities"),
            ("no probability", |image| image.probabilities[1] = f32::NAN, "has not 3 probabilities"),
            ("negative probability", |image| image.probabilities[1] = -0.1, "has not 3 probabilities"),
            ("fold", |image| image.fold = Some(5), "lies in no fold of 5"),
            ("no fold", |image| image.fold = None, "lies in no fold of 5"),
            ("a fold of the test split", |image| image.split = Split::Test, "lies in no fold of 5"),
            ("neighbour", |image| image.neighbours[0].row = 5, "names a row beyond 5"),
            ("copy", |image| image.copies[0] = 5, "names a row beyond 5"),
            ("infinite", |image| image.picture.sharpness = f32::INFINITY, "has a number that is none"),
        ];
        for (name, change, expected) in cases {
            let mut evidence = evidence(5);
            change(&mut evidence.images[4]);
            let error = Evidence::read(written(&mut evidence).path()).unwrap_err().to_string();
            assert!(error.contains("row 4 ") && error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn other_columns_are_refused() {
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(["a"]));
        let batch = RecordBatch::try_from_iter([("path", column)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        let output = written(&mut evidence(1));
        vouch_for(&output.path().join(AUDIT_DIRECTORY), &writer.into_inner().unwrap());
        let error = Evidence::read(output.path()).unwrap_err().to_string();
        assert!(error.contains("its columns are not those of the evidence"), "{error}");
    }
}
