//! What a file of `torch.save` consists of: a pickle, and the memory of the tensors that it describes. Since PyTorch
//! 1.6 they are entries of a zip archive; before, they stood one after another.

use super::damaged;
use super::numbers::ByteOrder;
use super::pickle::{Pickle, Value};
use super::state_dict::storages;
use preprocess::{Error, Result};
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};
use std::collections::{HashMap, HashSet};

/// `0x1950a86a20f9469cfc6c`, with which the old form begins.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A file's parts.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub pickle: Pickle<'a>,
    pub order: ByteOrder,
    /// The bytes of each storage, by its key.
    pub storages: HashMap<&'a str, &'a [u8]>,
}

/// Of a file since PyTorch 1.6.
///
/// # Errors
/// No zip archive, one of another program, compressed or encrypted, or not as it was written.
pub(super) fn open_zip(bytes: &[u8]) -> Result<Contents<'_>> {
    let archive = ZipArchive::from_slice(bytes).map_err(broken)?;
    let entries = entries(&archive)?;
    let suffix = "data.pkl";
    let mut roots = entries.keys().filter_map(|name| name.strip_suffix(suffix)).filter(|root| is_directory(root));
    let (Some(root), None) = (roots.next(), roots.next()) else {
        return Err(Error::new("it is a zip archive, but none of PyTorch's: it has no entry `data.pkl`, or several")
            .hint("give the file that `torch.save` wrote"));
    };
    let entry = |name: &str| entries.get(&format!("{root}{name}")).map(|entry| content(bytes, entry));
    if entries.contains_key(&format!("{root}constants.pkl")) {
        return Err(Error::new("it is a program of TorchScript (`torch.jit.save`), not a state dict")
            .hint("save the weights in PyTorch: `torch.save(torch.jit.load(FILE).state_dict(), …)`"));
    }
    let order = match entry("byteorder").transpose()? {
        None | Some(b"little") => ByteOrder::Little,
        Some(b"big") => ByteOrder::Big,
        Some(_) => return Err(damaged("its entry `byteorder` says neither `little` nor `big`")),
    };
    let pickle = Pickle::read(entry(suffix).transpose()?.unwrap_or_default())?;
    let mut contents = HashMap::new();
    for storage in storages(&pickle)?.into_values() {
        let bytes = entry(&format!("data/{}", storage.key))
            .ok_or_else(|| damaged(format!("the memory `{}` of its tensors is missing", storage.key)))??;
        let size = storage.numbers.size().and_then(|size| size.checked_mul(storage.count));
        if size.is_some_and(|size| bytes.len() < size) {
            return Err(damaged(format!("the memory `{}` of its tensors is cut short", storage.key)));
        }
        contents.insert(storage.key, bytes);
    }
    Ok(Contents { pickle, order, storages: contents })
}

/// Whether a name without its end leaves at most a directory.
fn is_directory(root: &str) -> bool {
    root.is_empty() || root.strip_suffix('/').is_some_and(|root| !root.contains('/'))
}

/// An entry's place, and how it is stored there.
struct Stored<'z, 'a> {
    archive: &'z ZipSliceArchive<&'a [u8]>,
    wayfinder: ZipArchiveEntryWayfinder,
    name: String,
    plain: bool,
}

fn entries<'z, 'a>(archive: &'z ZipSliceArchive<&'a [u8]>) -> Result<HashMap<String, Stored<'z, 'a>>> {
    let mut found = HashMap::new();
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        let plain = entry.compression_method() == CompressionMethod::STORE && !entry.flags().is_encrypted();
        let stored = Stored { archive, wayfinder: entry.wayfinder(), name: name.clone(), plain };
        if found.insert(name.clone(), stored).is_some() {
            return Err(damaged(format!("its zip archive has two entries of the name `{name}`")));
        }
    }
    Ok(found)
}

/// The bytes of an entry, held against their checksum.
fn content<'a>(bytes: &'a [u8], entry: &Stored<'_, 'a>) -> Result<&'a [u8]> {
    let Stored { archive, wayfinder, name, plain } = entry;
    if !plain {
        return Err(Error::new(format!(
            "its entry `{name}` is compressed or encrypted, which `torch.save` never does"
        ))
        .hint("unpack the archive and pack it again without compression, or give the file as it was saved"));
    }
    let entry = archive.get_entry(*wayfinder).map_err(broken)?;
    let (start, end) = entry.compressed_data_range();
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let content =
        range.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| broken("an entry lies outside"))?;
    let expected = entry.claim_verifier();
    if expected.uncompressed_size != content.len() as u64 || expected.crc != rawzip::crc32(content) {
        return Err(damaged(format!("its entry `{name}` does not have the checksum that stands beside it")));
    }
    Ok(content)
}

fn broken(cause: impl std::fmt::Display) -> Error {
    damaged(format!("its zip archive is cut short or damaged: {cause}"))
}

/// Of a file of before PyTorch 1.6, or saved with `_use_new_zipfile_serialization=False`.
///
/// # Errors
/// No such file, or not as it was written.
pub(super) fn open_legacy(bytes: &[u8]) -> Result<Contents<'_>> {
    let mut rest = Rest { bytes };
    let magic = rest.pickle()?;
    if magic.root() != &Value::Long(&MAGIC) {
        return Err(Error::new("it is a pickle, but none of PyTorch's").hint("give the file that `torch.save` wrote"));
    }
    if rest.pickle()?.root() != &Value::Int(1001) {
        return Err(Error::new("it is of a version of PyTorch's old format that is not known")
            .hint("load it in PyTorch, and save it again with `torch.save`"));
    }
    let order = byte_order(&rest.pickle()?)?;
    let pickle = rest.pickle()?;
    let (keys, described) = (rest.pickle()?, storages(&pickle)?);
    let Value::List(list) = keys.root() else { return Err(damaged("the list of its tensors' memory is missing")) };
    let (mut contents, mut seen) = (HashMap::new(), HashSet::new());
    for id in list {
        let storage = match keys.get(*id) {
            Value::Text(key) if seen.insert(*key) => described.get(key),
            _ => None,
        };
        let storage = storage.ok_or_else(|| damaged("the list of its tensors' memory is not that of its tensors"))?;
        let Some(size) = storage.numbers.size() else {
            return Err(Error::new("it holds tensors of a type that is not known")
                .hint("save only the state dict: `torch.save(model.state_dict(), FILE)`"));
        };
        let cut = || damaged(format!("the memory `{}` of its tensors is cut short", storage.key));
        let count = rest.take(8).and_then(|bytes| bytes.first_chunk().copied()).ok_or_else(cut)?;
        let count = if order == ByteOrder::Little { u64::from_le_bytes(count) } else { u64::from_be_bytes(count) };
        if usize::try_from(count) != Ok(storage.count) {
            return Err(damaged(format!("the memory `{}` of its tensors has another size than they say", storage.key)));
        }
        let bytes = storage.count.checked_mul(size).and_then(|size| rest.take(size)).ok_or_else(cut)?;
        contents.insert(storage.key, bytes);
    }
    if contents.len() != described.len() {
        return Err(damaged("the memory of some of its tensors is missing"));
    }
    Ok(Contents { pickle, order, storages: contents })
}

/// From what such a file says of the machine that wrote it.
fn byte_order(system: &Pickle<'_>) -> Result<ByteOrder> {
    let Value::Dict(entries) = system.root() else { return Err(damaged("it does not say its byte order")) };
    let order = entries.iter().find(|(key, _)| system.get(*key) == &Value::Text("little_endian"));
    match order.map(|(_, value)| system.get(*value)) {
        Some(Value::Bool(true)) => Ok(ByteOrder::Little),
        Some(Value::Bool(false)) => Ok(ByteOrder::Big),
        _ => Err(damaged("it does not say its byte order")),
    }
}

/// What was not yet read.
struct Rest<'a> {
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    fn pickle(&mut self) -> Result<Pickle<'a>> {
        let pickle = Pickle::read(self.bytes)?;
        self.take(pickle.length);
        Ok(pickle)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}
