//! A reader of Python's pickles that makes nothing but data: a stack machine for the opcodes of protocols 2 to 5 that
//! `torch.save` uses. No function is called and no class made, whatever a file names: what it calls becomes
//! [`Value::Opaque`], but for the few names of [`Global`], whose calls are kept as data.
//!
//! Nothing is allocated by a number in the file: texts stay where they lie, and each opcode makes at most one value.
//! Nothing recurses. Opcodes: Python's `pickletools`.

use super::damaged;
use preprocess::{Error, Result};
use std::collections::{BTreeSet, HashMap};

/// Bytes of a pickle that are read at most. Tensors are not in it, and what describes them has some 200 bytes each.
const MOST_BYTES: usize = 8 << 20;

/// Where a value is among the pickle's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u32);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// Of no interest, or an object of a class that is not known.
    Opaque,
    Bool(bool),
    Int(i64),
    /// An integer of any size: little-endian, in two's complement.
    Long(&'a [u8]),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// In the order of the file; a key may come twice.
    Dict(Vec<(Id, Id)>),
    Global(Global<'a>),
    /// What lies outside of the pickle, by its description.
    Persistent(Id),
    /// What a function with this tuple of arguments would have made.
    Call(Global<'a>, Id),
}

/// Names whose meaning is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global<'a> {
    OrderedDict,
    /// `torch.Size`, a tuple.
    Size,
    RebuildTensor,
    RebuildParameter,
    /// `torch.FloatStorage` and its like.
    Storage(&'a str),
    /// `torch.float32` and its like.
    Dtype,
}

impl<'a> Global<'a> {
    fn of(module: &str, name: &'a str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch" | "torch.storage", name) if name.ends_with("Storage") => Self::Storage(name),
            ("torch", "float16" | "bfloat16" | "float32" | "float64") => Self::Dtype,
            ("torch", "bool" | "uint8" | "int8" | "int16" | "int32" | "int64") => Self::Dtype,
            _ => return None,
        })
    }
}

const OPAQUE: Id = Id(0);
const FALSE: Id = Id(1);
const TRUE: Id = Id(2);
const EMPTY_TUPLE: Id = Id(3);

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
    /// Bytes up to its end.
    pub length: usize,
    /// Python's names that it holds besides those that are known: `argparse`, `Namespace`.
    pub unknown: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle with which `bytes` begins.
    ///
    /// # Errors
    /// Cut short, an opcode that `torch.save` does not use, or a stack that does not come out.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
        let values = vec![Value::Opaque, Value::Bool(false), Value::Bool(true), Value::Tuple(Vec::new())];
        let (stack, marks, memo, unknown) = (Vec::new(), Vec::new(), HashMap::new(), BTreeSet::new());
        let mut machine = Machine { bytes, at: 0, values, stack, marks, memo, unknown };
        if !matches!(machine.take()?, [0x80, 2..=5]) {
            return Err(damaged("a pickle in it is of no protocol that PyTorch uses"));
        }
        let root = machine.run()?;
        Ok(Self { values: machine.values, root, length: machine.at, unknown: machine.unknown })
    }

    pub(super) fn root(&self) -> &Value<'a> {
        self.get(self.root)
    }

    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id.0 as usize).unwrap_or(&Value::Opaque)
    }

    /// The descriptions of all that lies outside of the pickle.
    pub(super) fn persistent(&self) -> impl Iterator<Item = &Value<'a>> {
        self.values
            .iter()
            .filter_map(|value| if let Value::Persistent(id) = value { Some(self.get(*id)) } else { None })
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    unknown: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id> {
        loop {
            let [opcode] = self.take()?;
            if opcode == b'.' {
                return self.pop();
            }
            if let Some(id) = self.constant(opcode)? {
                self.stack.push(id);
            } else if !(self.memory(opcode)? || self.container(opcode)? || self.object(opcode)?) {
                return Err(self.fault(&format!("it has the opcode 0x{opcode:02x}, which `torch.save` does not use,")));
            }
        }
    }

    /// What comes from the bytes alone.
    fn constant(&mut self, opcode: u8) -> Result<Option<Id>> {
        Ok(Some(match opcode {
            b'N' => OPAQUE,
            0x88 => TRUE,
            0x89 => FALSE,
            b')' => EMPTY_TUPLE,
            b']' => self.make(Value::List(Vec::new())),
            b'}' => self.make(Value::Dict(Vec::new())),
            // A set: none describes a tensor.
            0x8f => OPAQUE,
            b'J' => self.int(|bytes: [u8; 4]| i32::from_le_bytes(bytes).into())?,
            b'K' => self.int(|[byte]| byte.into())?,
            b'M' => self.int(|bytes: [u8; 2]| u16::from_le_bytes(bytes).into())?,
            0x8a | 0x8b => {
                let length = self.length(if opcode == 0x8a { 1 } else { 4 })?;
                let long = self.skip(length)?;
                self.make(Value::Long(long))
            }
            b'G' => self.skip(8).map(|_| OPAQUE)?,
            b'U' | 0x8c => self.text(1)?,
            b'T' | b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'C' => self.blob(1)?,
            b'B' => self.blob(4)?,
            0x8e | 0x96 => self.blob(8)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)
            }
            _ => return Ok(None),
        }))
    }

    /// The stack itself, the memo, and frames.
    fn memory(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            // A frame's length only helps who reads a stream.
            0x95 => drop(self.skip(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'q' => {
                let [key] = self.take()?;
                self.memoize(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.take()?);
                self.memoize(key)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => {
                let [key] = self.take()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.take()?);
                self.recall(key)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What makes and fills tuples, lists, dictionaries and sets.
    fn container(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x85..=opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items));
            }
            // A frozen set.
            0x91 => {
                self.pop_mark()?;
                self.stack.push(OPAQUE);
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.extend(items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What would import, call and fill objects.
    fn object(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let id = match (self.value(module), self.value(name)) {
                    (&Value::Text(module), &Value::Text(name)) => self.global(module, name),
                    _ => return Err(self.fault("a name in it is no text")),
                };
                self.stack.push(id);
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let made = self.call(callable, arguments);
                self.stack.push(made);
            }
            // With arguments by keyword, which nothing that is known takes.
            0x92 => {
                for _callable_arguments_keywords in 0..3 {
                    self.pop()?;
                }
                self.stack.push(OPAQUE);
            }
            b'Q' => {
                let description = self.pop()?;
                self.push(Value::Persistent(description));
            }
            // An object's attributes; of an ordered dictionary, `_metadata` of a state dict.
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What a call makes, without calling anything. Nothing is copied: a call has few bytes, its arguments may be long.
    fn call(&mut self, callable: Id, arguments: Id) -> Id {
        let (&Value::Global(global), Value::Tuple(items)) = (self.value(callable), self.value(arguments)) else {
            return OPAQUE;
        };
        match (global, &items[..]) {
            (Global::OrderedDict, []) => self.make(Value::Dict(Vec::new())),
            (Global::OrderedDict, [pairs]) => {
                let pairs = *pairs;
                self.dict(pairs)
            }
            (Global::RebuildTensor | Global::RebuildParameter, _) => self.make(Value::Call(global, arguments)),
            (Global::Size, [tuple]) => *tuple,
            _ => OPAQUE,
        }
    }

    /// The dictionary of a list of pairs, as Python 2 wrote it; the list is used up.
    fn dict(&mut self, pairs: Id) -> Id {
        let Some(Value::List(list)) = self.values.get_mut(pairs.0 as usize) else { return OPAQUE };
        let list = std::mem::take(list);
        let pair = |id: &Id| match self.value(*id) {
            Value::List(pair) | Value::Tuple(pair) => <[Id; 2]>::try_from(&pair[..]).ok(),
            _ => None,
        };
        let entries: Option<Vec<_>> = list.iter().map(|id| pair(id).map(|[key, value]| (key, value))).collect();
        entries.map_or(OPAQUE, |entries| self.make(Value::Dict(entries)))
    }

    /// Adds items to the list or, two by two, to the dictionary on the stack.
    fn extend(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match self.values.get_mut(top.0 as usize) {
            Some(Value::List(list)) => list.extend(items),
            Some(Value::Dict(dict)) if items.len().is_multiple_of(2) => {
                dict.extend(items.as_chunks::<2>().0.iter().map(|[key, value]| (*key, *value)));
            }
            Some(Value::Opaque) => {}
            _ => return Err(self.fault("it adds to what is neither list nor dictionary")),
        }
        Ok(())
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Id {
        match Global::of(module, name) {
            Some(global) => self.make(Value::Global(global)),
            None => {
                self.unknown.insert((module, name));
                OPAQUE
            }
        }
    }

    fn make(&mut self, value: Value<'a>) -> Id {
        self.values.push(value);
        // At most one for each byte, of which there are fewer than 2^32.
        Id((self.values.len() - 1) as u32)
    }

    fn push(&mut self, value: Value<'a>) {
        let id = self.make(value);
        self.stack.push(id);
    }

    fn value(&self, id: Id) -> &Value<'a> {
        self.values.get(id.0 as usize).unwrap_or(&Value::Opaque)
    }

    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(<[Id]>::last).copied().ok_or_else(|| self.fault("its stack runs empty"))
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.fault("a mark is missing on its stack"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn memoize(&mut self, key: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let id = self.memo.get(&key).copied().ok_or_else(|| self.fault("it takes from its memo what is not there"))?;
        self.stack.push(id);
        Ok(())
    }

    fn int<const N: usize>(&mut self, int: impl Fn([u8; N]) -> i64) -> Result<Id> {
        let bytes = self.take()?;
        Ok(self.make(Value::Int(int(bytes))))
    }

    /// Text after its length in so many bytes. One of Python 2 may be no UTF-8, and so no name of a tensor either.
    fn text(&mut self, length_bytes: usize) -> Result<Id> {
        let length = self.length(length_bytes)?;
        let text = str::from_utf8(self.skip(length)?);
        Ok(text.map_or(OPAQUE, |text| self.make(Value::Text(text))))
    }

    fn blob(&mut self, length_bytes: usize) -> Result<Id> {
        let length = self.length(length_bytes)?;
        self.skip(length).map(|_| OPAQUE)
    }

    /// A length, of so many bytes.
    fn length(&mut self, bytes: usize) -> Result<usize> {
        let mut whole = [0; 8];
        let taken = self.skip(bytes)?;
        whole[..taken.len()].copy_from_slice(taken);
        usize::try_from(u64::from_le_bytes(whole)).map_err(|_| self.ended())
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| self.ended())?;
        self.at += end + 1;
        str::from_utf8(&rest[..end]).map_err(|_| self.fault("a name in it is no text"))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.bytes[self.at..].first_chunk().copied().ok_or_else(|| self.ended())?;
        self.at += N;
        Ok(taken)
    }

    fn skip(&mut self, length: usize) -> Result<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..length).ok_or_else(|| self.ended())?;
        self.at += length;
        Ok(taken)
    }

    fn ended(&self) -> Error {
        if self.bytes.len() == MOST_BYTES {
            return Error::new(format!("a pickle in it is longer than {} MiB", MOST_BYTES >> 20))
                .hint("save only the state dict: `torch.save(model.state_dict(), FILE)`");
        }
        damaged("a pickle in it is cut short")
    }

    fn fault(&self, what: &str) -> Error {
        damaged(format!("a pickle in it makes no sense: {what} at byte {}", self.at))
    }
}

#[cfg(test)]
mod tests;
