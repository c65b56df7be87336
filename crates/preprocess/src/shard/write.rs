//! Writes a shard.

use super::PlannedShard;
use super::schema::{METADATA_KEY, features, schema};
use crate::Result;
use crate::stage::atomic_file::{AtomicFile, write_error};
use crate::stage::{interrupt, progress::Progress};
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use rayon::prelude::*;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Rows of a row group: at 128x128 some 8 MB, small enough to shuffle and to stream.
const ROW_GROUP_ROWS: usize = 256;

/// Rows that are encoded before the size of a page is looked at: at 128x128 some 1 MB.
const WRITE_BATCH_ROWS: usize = 32;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The PNG file.
    pub png: Vec<u8>,
    /// The image's name.
    pub source: String,
    /// Index of its class.
    pub label: usize,
    /// Its group of near-copies.
    pub group: usize,
    /// BLAKE3 of the source file, in hexadecimal.
    pub content: String,
    /// Width and height of the picture in the source file, in pixels, as it is seen.
    pub size: [usize; 2],
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Length of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, in hexadecimal.
    pub blake3: String,
}

/// Writes one shard under `directory`, atomically. `row` makes the row of an image and is called from all cores; while
/// one row group is written, the next is made.
///
/// # Errors
/// What `row` returns, a full disk, or an interruption.
pub fn write(
    directory: &Path,
    shard: &PlannedShard,
    classes: &[String],
    row: impl Fn(usize) -> Result<Row> + Sync,
    progress: &Progress,
) -> Result<Written> {
    let path = directory.join(&shard.file);
    let file = AtomicFile::create(&path)?;
    let schema = Arc::new(schema(classes));
    let mut sink = Digest { writer: BufWriter::new(file.file()), hasher: blake3::Hasher::new(), bytes: 0 };
    let cannot = |error: parquet::errors::ParquetError| unwrapped(&path, error);
    let mut writer = ArrowWriter::try_new(&mut sink, schema.clone(), Some(properties(classes))).map_err(cannot)?;
    let make = |images: &[usize]| -> Result<Vec<Row>> {
        interrupt::check()?;
        let rows: Result<Vec<Row>> = images.par_iter().map(|&image| row(image)).collect();
        progress.advance(images.len() as u64);
        rows
    };
    let mut groups = shard.images.chunks(ROW_GROUP_ROWS);
    let mut ready = groups.next().map(make).transpose()?;
    while let Some(rows) = ready.take() {
        let store = || -> Result<()> {
            let batch = record_batch(&schema, rows, shard.copy).map_err(|error| write_error(&path, error))?;
            writer.write(&batch).and_then(|()| writer.flush()).map_err(cannot)
        };
        let (stored, next) = rayon::join(store, || groups.next().map(make).transpose());
        stored?;
        ready = next?;
    }
    writer.close().map_err(cannot)?;
    sink.writer.flush().map_err(|error| write_error(&path, error))?;
    let written = Written { bytes: sink.bytes, blake3: sink.hasher.finalize().to_hex().to_string() };
    drop(sink);
    file.commit()?;
    Ok(written)
}

/// The input-output error inside of Parquet's, so that a full disk is recognised.
fn unwrapped(path: &Path, error: parquet::errors::ParquetError) -> crate::Error {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(inner) => write_error(path, *inner),
            Err(inner) => crate::Error::new(format!("cannot write `{}`", path.display())).because(inner.to_string()),
        },
        error => write_error(path, error),
    }
}

/// PNG bytes neither compress further nor repeat, so compression and dictionaries are off; statistics only for the
/// short numbers.
fn properties(classes: &[String]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("preprocess ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_write_batch_size(WRITE_BATCH_ROWS)
        .set_key_value_metadata(Some(vec![KeyValue::new(METADATA_KEY.to_owned(), features(classes))]));
    for column in ["label", "copy", "group", "width", "height"] {
        properties = properties.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::Chunk);
    }
    properties.build()
}

fn record_batch(
    schema: &Arc<arrow::datatypes::Schema>,
    rows: Vec<Row>,
    copy: usize,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let numbers = |value: &dyn Fn(&Row) -> usize| -> ArrayRef {
        Arc::new(rows.iter().map(|row| value(row) as i64).collect::<Int64Array>())
    };
    let sources: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.source)));
    let contents: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.content)));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.png)));
    let arrow::datatypes::DataType::Struct(fields) = schema.field(0).data_type() else {
        return Err(arrow::error::ArrowError::SchemaError("the image column is no struct".to_owned()));
    };
    let image: ArrayRef = Arc::new(StructArray::try_new(fields.clone(), vec![bytes, sources.clone()], None)?);
    let [labels, copies, groups] = [numbers(&|row| row.label), numbers(&|_| copy), numbers(&|row| row.group)];
    let [widths, heights] = [0, 1].map(|side| numbers(&|row| row.size[side]));
    let columns = vec![image, labels, copies, groups, sources, contents, widths, heights];
    RecordBatch::try_new(schema.clone(), columns)
}

/// Hashes and counts what passes through.
struct Digest<W: Write> {
    writer: BufWriter<W>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Digest<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
