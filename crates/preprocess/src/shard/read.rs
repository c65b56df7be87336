//! Reads a shard's rows: where each image lies in the file, and what the other columns say.

use super::schema::{METADATA_KEY, features, schema_of_views};
use crate::image::MAX_SIDE;
use crate::stage::contained::contained;
use crate::stage::files;
use crate::{Error, Result};
use arrow::array::{Array, AsArray, BinaryViewArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::path::Path;

/// One row, without its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRow {
    /// Where the PNG begins in the file.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
    /// Index of the class.
    pub label: u32,
    /// The group of near-copies.
    pub group: u64,
    /// The image's name.
    pub source: String,
    /// BLAKE3 of the source file, in hexadecimal.
    pub content: String,
    /// Pixels that the picture in the source file is wide.
    pub width: u32,
    /// Pixels that it is high.
    pub height: u32,
}

impl StoredRow {
    /// Width and height of the picture in the source file, in pixels.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.width as usize, self.height as usize]
    }
}

/// Reads all rows of a shard whose `content` is in memory and known to be what was written. The images are not copied:
/// their pages are neither compressed nor encoded, so every value is a slice of `content`, and its offset is where a
/// positioned read finds it later.
///
/// # Errors
/// The content is no shard that this crate wrote, or one of other classes or of another copy.
pub fn read(path: &Path, content: &Bytes, classes: &[String], copy: usize) -> Result<Vec<StoredRow>> {
    contained(|| rows(content, classes, copy), str::to_owned).map_err(|cause| {
        Error::new(format!("`{}` is not a shard of this program", path.display()))
            .because(cause)
            .hint("run `preprocess` again with the same pipeline file")
    })
}

fn rows(content: &Bytes, classes: &[String], copy: usize) -> Result<Vec<StoredRow>, String> {
    let words = |error: parquet::errors::ParquetError| error.to_string();
    let options = ArrowReaderOptions::new().with_schema(schema_of_views());
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(content.clone(), options).map_err(words)?;
    let pairs = builder.metadata().file_metadata().key_value_metadata();
    let named = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == METADATA_KEY));
    if named.and_then(|pair| pair.value.as_ref()) != Some(&features(classes)) {
        return Err("its classes are others".to_owned());
    }
    let columns = ["image.bytes", "label", "copy", "group", "source", "content", "width", "height"];
    let projection = ProjectionMask::columns(builder.parquet_schema(), columns);
    let reader = builder.with_projection(projection).build().map_err(words)?;
    let mut rows = Vec::new();
    for batch in reader {
        append(&mut rows, &batch.map_err(|error| error.to_string())?, content, copy)?;
    }
    Ok(rows)
}

/// Whether a file is a shard that this program wrote, by what it says of itself.
pub(crate) fn is_ours(path: &Path) -> bool {
    let Ok(file) = files::open(path) else { return false };
    let Ok(reader) = SerializedFileReader::new(file) else { return false };
    let metadata = reader.metadata().file_metadata();
    let of_ours = metadata.created_by().is_some_and(|program| program.starts_with("preprocess "));
    of_ours && metadata.key_value_metadata().is_some_and(|all| all.iter().any(|entry| entry.key == METADATA_KEY))
}

fn append(rows: &mut Vec<StoredRow>, batch: &RecordBatch, content: &Bytes, copy: usize) -> Result<(), String> {
    let copies = batch.column_by_name("copy").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let is_of_copy =
        |copies: &Int64Array| copies.null_count() == 0 && copies.values().iter().all(|&of| of == copy as i64);
    if !copies.is_some_and(is_of_copy) {
        return Err(format!("its rows are not of copy {copy}"));
    }
    append_rows(rows, batch, content).ok_or_else(|| "a column of its rows is missing, or of another type".to_owned())
}

/// A side of a picture; none has more pixels than one file may have.
fn side(pixels: i64) -> Option<u32> {
    u32::try_from(pixels).ok().filter(|pixels| (1..=MAX_SIDE).contains(&u64::from(*pixels)))
}

fn append_rows(rows: &mut Vec<StoredRow>, batch: &RecordBatch, content: &Bytes) -> Option<()> {
    let images: &BinaryViewArray =
        batch.column_by_name("image")?.as_struct_opt()?.column_by_name("bytes")?.as_binary_view_opt()?;
    let labels = batch.column_by_name("label")?.as_primitive_opt::<Int64Type>()?;
    let groups = batch.column_by_name("group")?.as_primitive_opt::<Int64Type>()?;
    let sources = batch.column_by_name("source")?.as_string_opt::<i32>()?;
    let contents = batch.column_by_name("content")?.as_string_opt::<i32>()?;
    let [widths, heights] = ["width", "height"].map(|side| batch.column_by_name(side)?.as_primitive_opt::<Int64Type>());
    let (widths, heights) = (widths?, heights?);
    if [images as &dyn Array, labels, groups, sources, contents, widths, heights]
        .iter()
        .any(|column| column.null_count() > 0)
    {
        return None;
    }
    for row in 0..batch.num_rows() {
        let png = images.value(row);
        // The slice lies inside the file's buffer, so the difference of the addresses is the offset in the file.
        let offset = (png.as_ptr() as usize).checked_sub(content.as_ptr() as usize)?;
        if offset.checked_add(png.len())? > content.len() {
            return None;
        }
        rows.push(StoredRow {
            offset: offset as u64,
            length: png.len().try_into().ok()?,
            label: labels.value(row).try_into().ok()?,
            group: groups.value(row).try_into().ok()?,
            source: sources.value(row).to_owned(),
            content: contents.value(row).to_owned(),
            width: side(widths.value(row))?,
            height: side(heights.value(row))?,
        });
    }
    Some(())
}
