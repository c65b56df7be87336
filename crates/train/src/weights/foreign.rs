//! Safetensors files from elsewhere: weights that another program trained.

use super::kind::Kind;
use super::numbers::{self, ByteOrder, Float};
use crate::tensor::arrays::Array;
use preprocess::stage::error::Context;
use preprocess::stage::{files, fingerprint};
use preprocess::{Error, Result};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors};
use std::path::Path;

/// The weights of a safetensors file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Foreign {
    /// In the file's order; at least one. All values are finite.
    pub arrays: Vec<Array>,
    /// BLAKE3 of the file's bytes, in hexadecimal.
    pub checksum: String,
}

/// Reads the arrays of 16, 32 and 64-bit floats of a safetensors file, as 32-bit floats. Arrays of integers, which
/// are counters such as `num_batches_tracked`, are left out.
///
/// # Errors
/// The file cannot be read, is no safetensors file or cut short, holds no array, one of another type, or a value that
/// is no finite 32-bit float.
pub(crate) fn read(file: &Path) -> Result<Foreign> {
    let bytes = files::read(file).context(|| format!("cannot read `{}`", file.display()))?;
    let arrays = decode(&bytes, file)?;
    Ok(Foreign { arrays, checksum: fingerprint::of_bytes(&bytes) })
}

fn decode(bytes: &[u8], file: &Path) -> Result<Vec<Array>> {
    let refused = |why: String| Error::new(format!("cannot use the weights in `{}`", file.display())).because(why);
    let broken = |cause| no_safetensors(bytes, file, &cause);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut arrays = Vec::new();
    for name in header.offset_keys() {
        let view = tensors.tensor(&name).map_err(broken)?;
        let float = match view.dtype() {
            Dtype::F16 => Float::F16,
            Dtype::BF16 => Float::Bf16,
            Dtype::F32 => Float::F32,
            Dtype::F64 => Float::F64,
            dtype if is_integer(dtype) => continue,
            dtype => {
                return Err(
                    refused(format!("`{name}` is of type {dtype:?}")).hint("use weights of 16, 32 or 64-bit floats")
                );
            }
        };
        let values = float.decode(view.data(), ByteOrder::Little);
        arrays.push(Array { name, shape: view.shape().to_vec(), values });
    }
    match numbers::fault(&arrays) {
        Some(fault) => Err(refused(fault).hint("use other weights: a network cannot compute with these")),
        None => Ok(arrays),
    }
}

fn is_integer(dtype: Dtype) -> bool {
    use Dtype::{BOOL, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(dtype, BOOL | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

/// For a file that the reader of the format refused with `cause`.
fn no_safetensors(bytes: &[u8], file: &Path, cause: &SafeTensorError) -> Error {
    let name = file.display();
    match Kind::of(bytes) {
        Kind::Safetensors => match missing_bytes(bytes, cause) {
            Some(missing) => Error::new(format!("`{name}` is cut short"))
                .because(format!("it has {} bytes, and {missing} more are missing", bytes.len()))
                .hint("fetch it again"),
            None => Error::new(format!("`{name}` is no safetensors file, or a damaged one"))
                .because(cause.to_string())
                .hint("fetch it again"),
        },
        kind => kind.explain(Error::new(format!("`{name}` is no safetensors file")), file),
    }
}

/// How many bytes a file lacks that begins as one of this format, if that is what is wrong with it.
fn missing_bytes(bytes: &[u8], cause: &SafeTensorError) -> Option<u64> {
    let header = u64::from_le_bytes(*bytes.first_chunk()?);
    let length = bytes.len() as u64;
    match cause {
        SafeTensorError::InvalidHeaderLength => header.checked_add(8)?.checked_sub(length),
        SafeTensorError::MetadataIncompleteBuffer => {
            // The header is whole: with the bytes that it counts, the file is what it was.
            let json = bytes.get(8..8 + usize::try_from(header).ok()?)?;
            let entries: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).ok()?;
            let ends = entries.values().filter_map(|entry| entry.get("data_offsets")?.get(1)?.as_u64());
            header.checked_add(8)?.checked_add(ends.max()?)?.checked_sub(length).filter(|missing| *missing > 0)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
