//! The state dict in a pickle of `torch.save`: names, and the tensors that they stand for.

use super::numbers::Float;
use super::pickle::{Global, Id, Pickle, Value};
use super::{MOST_AXES, damaged};
use preprocess::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Where checkpoints keep their state dict, the first that there is; averaged weights first, as timm takes them.
const KEYS: [&str; 5] = ["state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model"];

/// Entries that a state dict may have: the largest networks have some thousands.
const MOST_ENTRIES: usize = 100_000;

/// What the numbers of a storage are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Float(Float),
    /// Truth values among them; of so many bytes.
    Integer(usize),
    /// Complex or quantised numbers of so many bytes, or what is not known.
    Other(Option<usize>),
}

impl Numbers {
    /// By the name of PyTorch's class.
    fn of(class: &str) -> Self {
        match class {
            "HalfStorage" => Self::Float(Float::F16),
            "BFloat16Storage" => Self::Float(Float::Bf16),
            "FloatStorage" => Self::Float(Float::F32),
            "DoubleStorage" => Self::Float(Float::F64),
            "LongStorage" => Self::Integer(8),
            "IntStorage" => Self::Integer(4),
            "ShortStorage" => Self::Integer(2),
            "CharStorage" | "ByteStorage" | "BoolStorage" => Self::Integer(1),
            "QInt8Storage" | "QUInt8Storage" | "UntypedStorage" => Self::Other(Some(1)),
            "QInt32Storage" => Self::Other(Some(4)),
            "ComplexFloatStorage" => Self::Other(Some(8)),
            "ComplexDoubleStorage" => Self::Other(Some(16)),
            _ => Self::Other(None),
        }
    }

    /// Bytes of one.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Self::Float(float) => Some(float.size()),
            Self::Integer(size) => Some(size),
            Self::Other(size) => size,
        }
    }
}

/// A row of numbers outside of the pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub key: &'a str,
    pub numbers: Numbers,
    pub count: usize,
}

/// A view of a storage of floats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor<'a> {
    pub name: &'a str,
    pub float: Float,
    pub storage: Storage<'a>,
    pub offset: usize,
    /// Elements along each axis, and how far apart they are.
    pub axes: Vec<(usize, usize)>,
}

/// What a checkpoint has under the names of a state dict.
#[derive(Debug, Default)]
pub(super) struct StateDict<'a> {
    /// Where it was in the checkpoint, unless it is all of it.
    pub key: Option<&'a str>,
    /// Other state dicts.
    pub others: Vec<&'a str>,
    pub tensors: Vec<Tensor<'a>>,
    /// Names of tensors of integers.
    pub integers: Vec<&'a str>,
    /// Names of all else.
    pub unusable: Vec<&'a str>,
}

impl<'a> StateDict<'a> {
    /// # Errors
    /// There is none, a name that stands for two things, or a tensor that is described as PyTorch would not.
    pub(super) fn find(pickle: &Pickle<'a>) -> Result<Self> {
        let Value::Dict(root) = pickle.root() else {
            return Err(Error::new("it holds no dictionary of tensors but some other object of Python")
                .hint("save the state dict in PyTorch: `torch.save(model.state_dict(), FILE)`"));
        };
        let mut found = KEYS.iter().filter_map(|key| {
            let (id, value) = root.iter().find(|(id, _)| pickle.get(*id) == &Value::Text(key))?;
            let Value::Text(key) = pickle.get(*id) else { return None };
            let Value::Dict(entries) = pickle.get(*value) else { return None };
            entries.iter().any(|(_, value)| is_tensor(pickle, *value)).then_some((*key, entries))
        });
        if let Some((key, entries)) = found.next() {
            let others = found.map(|(key, _)| key).collect();
            return Ok(Self { key: Some(key), others, ..Self::of(pickle, entries)? });
        }
        if root.iter().any(|(_, value)| is_tensor(pickle, *value)) {
            return Self::of(pickle, root);
        }
        let keys =
            root.iter().filter_map(|(id, _)| if let Value::Text(key) = pickle.get(*id) { Some(*key) } else { None });
        Err(Error::new(format!("it holds no state dict; its keys: {}", super::listed(&keys.collect::<Vec<_>>())))
            .hint("save the state dict in PyTorch: `torch.save(model.state_dict(), FILE)`"))
    }

    fn of(pickle: &Pickle<'a>, entries: &[(Id, Id)]) -> Result<Self> {
        if entries.len() > MOST_ENTRIES {
            return Err(damaged(format!("its state dict has {} entries, more than {MOST_ENTRIES}", entries.len())));
        }
        let (mut found, mut names) = (Self::default(), HashSet::new());
        for (key, value) in entries {
            let &Value::Text(name) = pickle.get(*key) else {
                return Err(Error::new("an entry of its state dict has a key that is no text")
                    .hint("save the state dict in PyTorch: `torch.save(model.state_dict(), FILE)`"));
            };
            if !names.insert(name) {
                return Err(damaged(format!("its state dict has two entries of the name `{name}`")));
            }
            match tensor(pickle, *value)
                .ok_or_else(|| damaged(format!("the tensor `{name}` is described as PyTorch would not")))?
            {
                Entry::Tensor { storage, offset, axes } => match storage.numbers {
                    Numbers::Float(float) => found.tensors.push(Tensor { name, float, storage, offset, axes }),
                    Numbers::Integer(_) => found.integers.push(name),
                    Numbers::Other(_) => found.unusable.push(name),
                },
                Entry::Other => found.unusable.push(name),
            }
        }
        Ok(found)
    }
}

/// The storages that a pickle names, by their keys, in no order.
///
/// # Errors
/// One that is described as PyTorch would not, or in two ways.
pub(super) fn storages<'a>(pickle: &Pickle<'a>) -> Result<HashMap<&'a str, Storage<'a>>> {
    let mut storages = HashMap::new();
    for description in pickle.persistent() {
        // Source code, beside a network that was saved as an object.
        if matches!(description, Value::Tuple(items) if items.first().is_some_and(|kind| is_module(pickle, *kind))) {
            continue;
        }
        let storage = storage(pickle, description)
            .ok_or_else(|| damaged("the memory of a tensor in it is described as PyTorch would not"))?;
        if storages.insert(storage.key, storage).is_some_and(|other| other != storage) {
            return Err(damaged(format!("the memory `{}` of its tensors is described in two ways", storage.key)));
        }
    }
    Ok(storages)
}

fn is_module(pickle: &Pickle<'_>, kind: Id) -> bool {
    pickle.get(kind) == &Value::Text("module")
}

/// What a name stands for.
enum Entry<'a> {
    Tensor { storage: Storage<'a>, offset: usize, axes: Vec<(usize, usize)> },
    Other,
}

/// A parameter's tensor; other values are their own.
fn data(pickle: &Pickle<'_>, id: Id) -> Id {
    match pickle.get(id) {
        Value::Call(Global::RebuildParameter, arguments) => items(pickle, *arguments).first().copied().unwrap_or(id),
        _ => id,
    }
}

/// Of a tuple.
fn items<'p>(pickle: &'p Pickle<'_>, id: Id) -> &'p [Id] {
    if let Value::Tuple(items) = pickle.get(id) { items } else { &[] }
}

fn is_tensor(pickle: &Pickle<'_>, id: Id) -> bool {
    matches!(pickle.get(data(pickle, id)), Value::Call(Global::RebuildTensor, _))
}

/// None for a tensor with a fault.
fn tensor<'a>(pickle: &Pickle<'a>, id: Id) -> Option<Entry<'a>> {
    let Value::Call(Global::RebuildTensor, arguments) = pickle.get(data(pickle, id)) else { return Some(Entry::Other) };
    let [storage_id, offset, shape, strides, ..] = *items(pickle, *arguments) else { return None };
    let description = match pickle.get(storage_id) {
        Value::Persistent(description) => pickle.get(*description),
        Value::Opaque => return Some(Entry::Other),
        _ => return None,
    };
    let (Value::Tuple(shape), Value::Tuple(strides)) = (pickle.get(shape), pickle.get(strides)) else { return None };
    if shape.len() != strides.len() || shape.len() > MOST_AXES {
        return None;
    }
    let axis = |(length, stride): (&Id, &Id)| Some((number(pickle, *length)?, number(pickle, *stride)?));
    let axes = shape.iter().zip(strides).map(axis).collect::<Option<_>>()?;
    Some(Entry::Tensor { storage: storage(pickle, description)?, offset: number(pickle, offset)?, axes })
}

/// From `("storage", class, key, device, count)`, to which PyTorch before 1.6 adds what it is a view of, or nothing.
fn storage<'a>(pickle: &Pickle<'a>, description: &Value<'a>) -> Option<Storage<'a>> {
    let Value::Tuple(items) = description else { return None };
    let [kind, class, key, _device, count, view @ ..] = &items[..] else { return None };
    if pickle.get(*kind) != &Value::Text("storage") || !view.iter().all(|id| pickle.get(*id) == &Value::Opaque) {
        return None;
    }
    let &Value::Text(key) = pickle.get(*key) else { return None };
    let numbers = match pickle.get(*class) {
        Value::Global(Global::Storage(class)) => Numbers::of(class),
        _ => Numbers::Other(None),
    };
    Some(Storage { key, numbers, count: number(pickle, *count)? })
}

/// What is at least 0 and fits.
fn number(pickle: &Pickle<'_>, id: Id) -> Option<usize> {
    match pickle.get(id) {
        Value::Int(int) => usize::try_from(*int).ok(),
        Value::Long(bytes) => {
            let mut whole = [0; 8];
            whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
            let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            if is_negative { None } else { usize::try_from(u64::from_le_bytes(whole)).ok() }
        }
        _ => None,
    }
}
