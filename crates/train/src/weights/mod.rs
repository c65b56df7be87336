//! Weights from elsewhere: safetensors files of other programs, and PyTorch's files of state dicts, which become such.
//!
//! - `kind`: what a file is, by its first bytes; `numbers`: its floats as ours;
//! - `foreign`: reads safetensors files; `config`: what is said beside them;
//! - `hub`: fetches both from the Hugging Face hub;
//! - `pickle`: Python's pickles as data, `state_dict`: the tensors in them, `container`: where both lie in a file,
//!   `pth`: the arrays of all that.

pub(crate) mod config;
mod container;
pub(crate) mod foreign;
pub(crate) mod hub;
mod hub_settings;
mod kind;
mod numbers;
mod pickle;
pub(crate) mod pth;
mod state_dict;

use preprocess::Error;

/// Axes that a tensor may have: PyTorch's own limit.
const MOST_AXES: usize = 64;

/// Names that are listed at most.
const MOST_NAMES: usize = 5;

/// For a file that is not as it was written.
fn damaged(why: impl Into<String>) -> Error {
    Error::new(why).hint("fetch the file again; if it is as it was saved, load it in PyTorch and save it again")
}

/// The first of some names.
fn listed(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<_> = names.iter().take(MOST_NAMES).map(|name| format!("`{}`", name.as_ref())).collect();
    shown.join(", ") + if names.len() > MOST_NAMES { ", …" } else { "" }
}
