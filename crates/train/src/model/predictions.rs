//! `predictions-<split>.parquet`: one row an image, each image exactly once, un-augmented.
//!
//! Columns: `path: string`, `content: string` (BLAKE3 of the source file: what the image is known by), `group: int64`
//! (of near-copies), `label: int64`, `prediction: int64`, `probabilities: list<float32>` (in the order of the classes,
//! which the schema metadata names the Hugging Face way).

use arrow::array::{Array, ArrayRef, Float32Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use preprocess::pipeline::Split;
use preprocess::stage::atomic_file::write_atomically;
use preprocess::stage::contained::contained;
use preprocess::stage::error::Context;
use preprocess::stage::files;
use preprocess::{Error, ErrorKind, Result};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The metadata key under which Hugging Face `datasets` looks for the features.
const METADATA_KEY: &str = "huggingface";

/// One image's prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Path relative to the source directory.
    pub path: String,
    /// BLAKE3 of the source file, in hexadecimal: what the image is known by, under whatever name and class.
    pub content: String,
    /// Its group of near-copies, as the shards number them.
    pub group: usize,
    /// Index of the true class.
    pub label: usize,
    /// Index of the most probable class.
    pub prediction: usize,
    /// Softmax of the logits; one for every class.
    pub probabilities: Vec<f32>,
}

/// All predictions of one model on one split.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    /// In the order of the data set.
    pub rows: Vec<Prediction>,
}

/// Where a model's predictions on a split are.
pub fn predictions_file(model_directory: &Path, split: Split) -> PathBuf {
    model_directory.join(format!("predictions-{}.parquet", split.name()))
}

impl Predictions {
    /// Reads a predictions file.
    ///
    /// # Errors
    /// Missing, truncated, of another schema, or with a row that does not fit the classes.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = files::read(file)
            .context(|| format!("cannot read `{}`", file.display()))
            .map_err(|error| error.hint("run `train` first"))?;
        contained(|| Self::parse(bytes.into()), str::to_owned).map_err(|reason| {
            Error::new(format!("`{}` is not a whole file of predictions", file.display()))
                .of_kind(ErrorKind::Damaged)
                .because(reason)
                .hint("run `train` again to write it anew")
        })
    }

    /// Writes a predictions file: to a temporary name, then renamed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, file: &Path) -> Result<()> {
        let bytes = self.encode().context(|| format!("cannot encode `{}`", file.display()))?;
        write_atomically(file, |writer| writer.write_all(&bytes))
    }

    fn encode(&self) -> parquet::errors::Result<Vec<u8>> {
        let features = self.features().to_string();
        let schema = Arc::new(schema().with_metadata(HashMap::from([(METADATA_KEY.into(), features.clone())])));
        let batch = RecordBatch::try_new(schema.clone(), self.columns())?;
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(vec![KeyValue::new(METADATA_KEY.into(), features)]))
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
        writer.write(&batch)?;
        writer.into_inner()
    }

    fn columns(&self) -> Vec<ArrayRef> {
        let probabilities = self.rows.iter().flat_map(|row| row.probabilities.iter().copied());
        let lengths = self.rows.iter().map(|row| row.probabilities.len());
        vec![
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(|row| &row.path))),
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(|row| &row.content))),
            Arc::new(Int64Array::from_iter_values(self.rows.iter().map(|row| row.group as i64))),
            Arc::new(Int64Array::from_iter_values(self.rows.iter().map(|row| row.label as i64))),
            Arc::new(Int64Array::from_iter_values(self.rows.iter().map(|row| row.prediction as i64))),
            Arc::new(ListArray::new(
                list_item(),
                OffsetBuffer::from_lengths(lengths),
                Arc::new(Float32Array::from_iter_values(probabilities)),
                None,
            )),
        ]
    }

    /// What Hugging Face `datasets` reads: `label` and `prediction` carry the class names.
    fn features(&self) -> serde_json::Value {
        let class = json!({"names": self.classes, "_type": "ClassLabel"});
        json!({"info": {"features": {
            "path": {"dtype": "string", "_type": "Value"},
            "content": {"dtype": "string", "_type": "Value"},
            "group": {"dtype": "int64", "_type": "Value"},
            "label": class,
            "prediction": class,
            "probabilities": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"},
        }}})
    }

    fn parse(bytes: bytes::Bytes) -> Result<Self, String> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
        let classes = class_names(builder.schema())?;
        let mut rows = Vec::new();
        for batch in builder.build().map_err(|error| error.to_string())? {
            append_rows(&batch.map_err(|error| error.to_string())?, classes.len(), &mut rows)?;
        }
        Ok(Self { classes, rows })
    }
}

fn list_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, true))
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("path", DataType::Utf8, true),
        Field::new("content", DataType::Utf8, true),
        Field::new("group", DataType::Int64, true),
        Field::new("label", DataType::Int64, true),
        Field::new("prediction", DataType::Int64, true),
        Field::new("probabilities", DataType::List(list_item()), true),
    ])
}

fn class_names(schema: &Schema) -> Result<Vec<String>, String> {
    let text = schema.metadata().get(METADATA_KEY).ok_or("its schema metadata name no classes")?;
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let names = value["info"]["features"]["label"]["names"].as_array();
    let names = names.and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    names.ok_or_else(|| "its schema metadata name no classes".into())
}

fn append_rows(batch: &RecordBatch, classes: usize, rows: &mut Vec<Prediction>) -> Result<(), String> {
    let paths: &StringArray = column(batch, "path")?;
    let contents: &StringArray = column(batch, "content")?;
    let groups: &Int64Array = column(batch, "group")?;
    let labels: &Int64Array = column(batch, "label")?;
    let predictions: &Int64Array = column(batch, "prediction")?;
    let probabilities: &ListArray = column(batch, "probabilities")?;
    for row in 0..batch.num_rows() {
        let class_index = |column: &Int64Array| {
            let value = column.value(row);
            usize::try_from(value)
                .ok()
                .filter(|&index| index < classes)
                .ok_or_else(|| format!("row {} names class {value} of {classes}", rows.len()))
        };
        let list = probabilities.value(row);
        let values = list.as_any().downcast_ref::<Float32Array>().ok_or("`probabilities` holds no 32-bit floats")?;
        if values.len() != classes {
            return Err(format!("row {} has {} probabilities for {classes} classes", rows.len(), values.len()));
        }
        if values.null_count() > 0 || !values.values().iter().all(|p| (0.0..=1.0001).contains(p)) {
            return Err(format!("row {} has a probability that is none", rows.len()));
        }
        rows.push(Prediction {
            path: paths.value(row).to_owned(),
            content: contents.value(row).to_owned(),
            group: usize::try_from(groups.value(row))
                .map_err(|_| format!("row {} has a negative group", rows.len()))?,
            label: class_index(labels)?,
            prediction: class_index(predictions)?,
            probabilities: values.values().to_vec(),
        });
    }
    Ok(())
}

/// The column of that name, of that type, without nulls.
fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T, String> {
    let column = batch.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"))?;
    if column.null_count() > 0 {
        return Err(format!("its column `{name}` has empty cells"));
    }
    column.as_any().downcast_ref().ok_or_else(|| format!("its column `{name}` is of type {}", column.data_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Predictions {
        Predictions {
            classes: vec!["cat".into(), "Große Hunde \"2\"".into(), "猫".into()],
            rows: vec![
                Prediction {
                    path: "cat/1.png".into(),
                    content: "0a".into(),
                    group: 0,
                    label: 0,
                    prediction: 1,
                    probabilities: vec![0.25, 0.5, 0.25],
                },
                Prediction {
                    path: "猫/é, 2.png".into(),
                    content: "0b".into(),
                    group: 7,
                    label: 2,
                    prediction: 2,
                    probabilities: vec![0.0, 1e-30, 1.0],
                },
            ],
        }
    }

    fn round_trip(predictions: &Predictions) -> Predictions {
        let directory = tempfile::tempdir().unwrap();
        let file = predictions_file(directory.path(), Split::Test);
        predictions.write(&file).unwrap();
        Predictions::read(&file).unwrap()
    }

    #[test]
    fn rows_and_class_names_come_back() {
        assert_eq!(round_trip(&sample()), sample());
        let none = Predictions { rows: Vec::new(), ..sample() };
        assert_eq!(round_trip(&none), none);
    }

    #[test]
    fn a_damaged_file_is_refused_by_name() {
        let whole = sample().encode().unwrap();
        let other = Predictions { classes: vec!["one".into()], ..sample() }.encode().unwrap();
        for (name, bytes, says) in [
            ("cut short", whole[..whole.len() / 2].to_vec(), "not a whole file of predictions"),
            ("empty", Vec::new(), "not a whole file of predictions"),
            ("not Parquet", b"path,label\n".repeat(9), "not a whole file of predictions"),
            ("other classes", other, "3 probabilities for 1 classes"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let file = predictions_file(directory.path(), Split::Validation);
            std::fs::write(&file, bytes).unwrap();
            let error = Predictions::read(&file).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("predictions-validation.parquet"), "{name}: {error}");
        }
    }
}
