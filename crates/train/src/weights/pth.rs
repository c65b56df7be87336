//! Files of PyTorch's `torch.save` that hold a state dict (`.pth`, `.pt`, `.bin`), as arrays of 32-bit floats, without
//! executing anything in them.

use super::container::{Contents, open_legacy, open_zip};
use super::kind::Kind;
use super::numbers;
use super::state_dict::{StateDict, Tensor};
use super::{MOST_NAMES, damaged, listed};
use crate::tensor::arrays::Array;
use preprocess::stage::error::Context;
use preprocess::stage::files;
use preprocess::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// What wrappers of a network put before all of its names.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];

/// Bytes of floats that a file of so many bytes may come to: views of one storage may each be as large as it, or
/// larger, and a small file could fill any memory. Half precision doubles, and tied weights double again.
fn most_bytes(file: usize) -> usize {
    file.saturating_mul(4).saturating_add(16 << 20)
}

/// The state dict of a file, and what is worth saying of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    /// In the state dict's order; at least one. All values are finite, all names different.
    pub arrays: Vec<Array>,
    /// Where it was in the checkpoint, unless it is all of it.
    pub key: Option<String>,
    /// Other state dicts in the checkpoint.
    pub others: Vec<String>,
    /// Names of arrays of integers, which are left out.
    pub integers: Vec<String>,
    /// Names of what is no array of floats or integers, which is left out too.
    pub unusable: Vec<String>,
    /// What was removed from the beginning of all names: `module.`.
    pub prefix: String,
    /// Classes and functions of Python that the file names, the first of them. None was made or called.
    pub unknown: Vec<String>,
}

/// Reads a file of `torch.save`.
///
/// # Errors
/// It cannot be read, is none or not as it was written, holds no state dict, two entries of one name, or a value that
/// is no finite 32-bit float.
pub(crate) fn read(file: &Path) -> Result<Checkpoint> {
    let bytes = files::read(file).context(|| format!("cannot read `{}`", file.display()))?;
    let refused = || format!("cannot import weights from `{}`", file.display());
    match Kind::of(&bytes) {
        Kind::Zip => open_zip(&bytes),
        Kind::Pickle => open_legacy(&bytes),
        kind => return Err(kind.explain(Error::new(refused()), file)),
    }
    .and_then(|contents| arrays(&contents, bytes.len()))
    .map_err(|error| error.while_doing(refused()))
}

fn arrays(contents: &Contents<'_>, file_bytes: usize) -> Result<Checkpoint> {
    let found = StateDict::find(&contents.pickle)?;
    let mut bytes: usize = 0;
    for tensor in &found.tensors {
        let more = check(tensor)?;
        bytes = bytes.saturating_add(more.saturating_mul(size_of::<f32>()));
    }
    if bytes > most_bytes(file_bytes) {
        return Err(Error::new(format!("its arrays would take {bytes} bytes, far more than the file holds"))
            .hint("save them in PyTorch as they are needed: `{name: tensor.clone() for …}`"));
    }
    let mut arrays = gather(&found.tensors, contents)?;
    if let Some(fault) = numbers::fault(&arrays) {
        return Err(Error::new(fault).hint("use other weights: a network cannot compute with these"));
    }
    let prefix = remove_prefixes(&mut arrays);
    // The name under which the format keeps what is no array.
    if arrays.iter().any(|array| array.name == "__metadata__") {
        return Err(Error::new("an array has the name `__metadata__`, which safetensors files cannot hold")
            .hint("give it another name in PyTorch"));
    }
    let unknown = contents.pickle.unknown.iter().map(|(module, name)| format!("{module}.{name}"));
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Ok(Checkpoint {
        arrays,
        key: found.key.map(str::to_owned),
        others: owned(&found.others),
        integers: owned(&found.integers),
        unusable: owned(&found.unusable),
        prefix,
        unknown: unknown.take(MOST_NAMES + 1).collect(),
    })
}

/// How many values a tensor has, none of which lies outside of its storage.
fn check(tensor: &Tensor<'_>) -> Result<usize> {
    let count = tensor.axes.iter().try_fold(1usize, |count, (length, _)| count.checked_mul(*length));
    let furthest = tensor.axes.iter().try_fold(tensor.offset, |furthest, (length, stride)| {
        furthest.checked_add(length.saturating_sub(1).checked_mul(*stride)?)
    });
    match (count, furthest) {
        (Some(0), _) => Ok(0),
        (Some(count), Some(furthest)) if furthest < tensor.storage.count => Ok(count),
        _ => Err(damaged(format!("the tensor `{}` reaches beyond its memory", tensor.name))),
    }
}

/// The arrays of checked tensors, in their order. Each storage is decoded once and only while it is needed.
fn gather(tensors: &[Tensor<'_>], contents: &Contents<'_>) -> Result<Vec<Array>> {
    let mut by_storage: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        by_storage.entry(tensor.storage.key).or_default().push(index);
    }
    let shape = |tensor: &Tensor<'_>| tensor.axes.iter().map(|(length, _)| *length).collect();
    let array = |tensor: &Tensor<'_>| Array { name: tensor.name.into(), shape: shape(tensor), values: Vec::new() };
    let mut arrays: Vec<Array> = tensors.iter().map(array).collect();
    for (key, indices) in by_storage {
        let missing = || damaged(format!("the memory `{key}` of its tensors is missing"));
        let first = &tensors[indices[0]];
        let length = first.storage.count.checked_mul(first.float.size()).ok_or_else(missing)?;
        let bytes = contents.storages.get(key).and_then(|bytes| bytes.get(..length)).ok_or_else(missing)?;
        let storage = first.float.decode(bytes, contents.order);
        for index in indices {
            arrays[index].values = values(&tensors[index], &storage);
        }
    }
    Ok(arrays)
}

/// The values of a checked tensor, row-major.
fn values(tensor: &Tensor<'_>, storage: &[f32]) -> Vec<f32> {
    let count: usize = tensor.axes.iter().map(|(length, _)| length).product();
    // One step along an axis of one element would lead anywhere, and is never taken.
    let axes: Vec<_> = tensor.axes.iter().copied().filter(|(length, _)| *length != 1).collect();
    let mut next = 1;
    let is_contiguous = axes.iter().rev().all(|(length, stride)| {
        let expected = next;
        next = expected * length;
        *stride == expected
    });
    if count == 0 {
        return Vec::new();
    }
    if is_contiguous {
        return storage[tensor.offset..tensor.offset + count].to_vec();
    }
    let (mut values, mut at, mut position) = (Vec::with_capacity(count), vec![0; axes.len()], tensor.offset);
    for _ in 0..count {
        values.push(storage[position]);
        for (index, (length, stride)) in at.iter_mut().zip(&axes).rev() {
            *index += 1;
            position += stride;
            if *index < *length {
                break;
            }
            position -= stride * length;
            *index = 0;
        }
    }
    values
}

/// Removes from all names what they all begin with of [`PREFIXES`], again and again, and returns it.
fn remove_prefixes(arrays: &mut [Array]) -> String {
    let mut removed = String::new();
    let rest = |name: &str, prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    while let Some(prefix) =
        PREFIXES.iter().find(|prefix| arrays.iter().all(|array| rest(&array.name[removed.len()..], prefix)))
    {
        removed.push_str(prefix);
    }
    for array in arrays {
        array.name.drain(..removed.len());
    }
    removed
}

impl Checkpoint {
    /// What there is to say besides how much it holds: a line for each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut remark = |names: &[String], one: &str, many: &str| {
            let what = if names.len() == 1 { one } else { many };
            if !names.is_empty() {
                remarks.push(format!("left out: {} {what}: {}", names.len(), listed(names)));
            }
        };
        remark(&self.others, "other state dict", "other state dicts");
        remark(&self.integers, "array of integers", "arrays of integers");
        remark(&self.unusable, "entry that is no array of floats", "entries that are no arrays of floats");
        if !self.prefix.is_empty() {
            remarks.push(format!("removed from the beginning of all names: `{}`", self.prefix));
        }
        if !self.unknown.is_empty() {
            remarks.push(format!("named in the file, passed over and not executed: {}", listed(&self.unknown)));
        }
        remarks
    }
}

#[cfg(test)]
mod tests;
