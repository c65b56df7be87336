//! `margins.parquet`: how far each training image was on the right side of its label while the model learnt.
//!
//! Columns: `path: string` (relative to the source directory), `margin: float32` (the label's logit less the largest
//! other one, in the mean over the epochs; see `training::margins`), `epochs: int64` (how many that is the mean of). A row
//! an image that was seen unmixed; none at all of a model whose head alone was fitted.

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float32Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use preprocess::stage::atomic_file::write_atomically;
use preprocess::stage::contained::contained;
use preprocess::stage::error::Context;
use preprocess::stage::files;
use preprocess::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// File name in a model's directory.
pub const MARGINS_FILE: &str = "margins.parquet";

/// One image's mean margin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MarginRow {
    pub path: String,
    pub margin: f32,
    pub epochs: usize,
}

/// Writes the file of a model's directory.
///
/// # Errors
/// The disk refuses.
pub(crate) fn write(directory: &Path, rows: &[MarginRow]) -> Result<()> {
    let file = directory.join(MARGINS_FILE);
    let bytes = encode(rows).context(|| format!("cannot encode `{}`", file.display()))?;
    write_atomically(&file, |writer| writer.write_all(&bytes))
}

/// The mean margin of each training image of a model's directory, by path.
///
/// # Errors
/// Missing, or not such a file.
pub fn read(directory: &Path) -> Result<BTreeMap<String, f32>> {
    let file = directory.join(MARGINS_FILE);
    let again = "run `train` again with the same pipeline file to write it anew";
    let bytes = files::read(&file).context(|| format!("cannot read `{}`", file.display()));
    let bytes = bytes.map_err(|error| error.hint(again))?;
    contained(|| parse(bytes.into()), str::to_owned).map_err(|reason| {
        Error::new(format!("`{}` is not a whole file of margins", file.display()))
            .of_kind(ErrorKind::Damaged)
            .because(reason)
            .hint(again)
    })
}

fn schema() -> Schema {
    let field = |name, kind| Field::new(name, kind, true);
    Schema::new(vec![
        field("path", DataType::Utf8),
        field("margin", DataType::Float32),
        field("epochs", DataType::Int64),
    ])
}

fn encode(rows: &[MarginRow]) -> parquet::errors::Result<Vec<u8>> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.path))),
        Arc::new(Float32Array::from_iter_values(rows.iter().map(|row| row.margin))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.epochs as i64))),
    ];
    let schema = Arc::new(schema());
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None)?;
    writer.write(&RecordBatch::try_new(schema, columns)?)?;
    writer.into_inner()
}

fn parse(bytes: bytes::Bytes) -> Result<BTreeMap<String, f32>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    if builder.schema().fields() != schema().fields() {
        return Err("its columns are not those of margins".into());
    }
    let mut margins = BTreeMap::new();
    for batch in builder.build().map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        let (paths, values) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Float32Type>());
        if paths.null_count() + values.null_count() > 0 || !values.values().iter().all(|margin| margin.is_finite()) {
            return Err("a row has a margin that is none".into());
        }
        margins.extend(paths.iter().flatten().map(str::to_owned).zip(values.values().iter().copied()));
    }
    Ok(margins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_come_back_and_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let row = |path: &str, margin| MarginRow { path: path.into(), margin, epochs: 3 };
        write(directory.path(), &[row("b/ü, 1.png", -0.5), row("a/2.png", 1.25)]).unwrap();
        let read_back = read(directory.path()).unwrap();
        assert_eq!(read_back, BTreeMap::from([("a/2.png".to_owned(), 1.25), ("b/ü, 1.png".to_owned(), -0.5)]));
        let file = directory.path().join(MARGINS_FILE);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert!(read(directory.path()).unwrap_err().to_string().contains("not a whole file of margins"));
        write(directory.path(), &[row("a", f32::NAN)]).unwrap();
        assert!(read(directory.path()).unwrap_err().to_string().contains("a margin that is none"));
        write(directory.path(), &[]).unwrap();
        assert_eq!(read(directory.path()).unwrap(), BTreeMap::new());
    }
}
