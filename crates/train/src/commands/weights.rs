//! `train weights import`: a file of PyTorch's becomes a safetensors file.

use crate::tensor::arrays;
use crate::weights::{foreign, pth};
use preprocess::stage::atomic_file::write_atomically;
use preprocess::stage::error::Context;
use preprocess::stage::names;
use preprocess::{Error, Result, say};
use std::io;
use std::path::Path;

/// Writes the state dict of a file of `torch.save` as a safetensors file, under `output` or beside it, and prints what
/// is in it.
///
/// # Errors
/// The file is not one that can be read, or holds no usable weights; something is there under the output's name, or it
/// cannot be written.
pub(crate) fn import(file: &Path, output: Option<&Path>) -> Result<()> {
    let output = output.map_or_else(|| file.with_extension("safetensors"), Path::to_owned);
    refuse_existing(&output)?;
    let checkpoint = pth::read(file)?;
    let named = checkpoint.arrays.iter().map(|array| (array.name.as_str(), array));
    let bytes =
        arrays::encode(named, &[("format", "pt".into())]).context(|| format!("cannot write `{}`", output.display()))?;
    refuse_existing(&output)?;
    write_atomically(&output, |writer| writer.write_all(&bytes))
        .map_err(|error| error.hint("name another file with `--output FILE`"))?;
    let megabytes = bytes.len() as f64 / 1e6;
    drop(bytes);
    let checksum = read_back(&output, &checkpoint)?;

    let (arrays, values) = (checkpoint.arrays.len(), checkpoint.arrays.iter().map(|array| array.values.len()));
    let values = values.sum::<usize>();
    let of = checkpoint.key.as_ref().map_or_else(String::new, |key| format!(" of `{key}`"));
    say!("{}: {arrays} arrays{of}, {values} values", names::path(file));
    for remark in checkpoint.remarks() {
        say!("{remark}");
    }
    say!("written: {}, {megabytes:.1} MB, BLAKE3 {checksum}", names::path(&output));
    Ok(())
}

fn refuse_existing(output: &Path) -> Result<()> {
    match output.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).context(|| format!("cannot look at `{}`", output.display())),
        Ok(_) => Err(Error::new(format!("`{}` is there already", output.display()))
            .hint("name another file with `--output FILE`, or move that one away")),
    }
}

/// The checksum of what was written, which whoever reads such files must find to be what it was made of.
fn read_back(output: &Path, checkpoint: &pth::Checkpoint) -> Result<String> {
    let mut written = foreign::read(output)?;
    let mut expected: Vec<_> = checkpoint.arrays.iter().collect();
    expected.sort_unstable_by_key(|array| &array.name);
    written.arrays.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if !written.arrays.iter().eq(expected) {
        return Err(Error::new(format!("`{}` holds other values than were written", output.display()))
            .hint("look at the disk's health, and run the same command again with another `--output`"));
    }
    Ok(written.checksum)
}
