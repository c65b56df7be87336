//! Values to settings, with every problem on the way and not only the first.
//!
//! The settings' own `Deserialize` stays the one description of the keys and types; this deserializer keeps what serde
//! reports about a mismatch as data instead of text, with the path to it.

use super::limits;
use super::problem::{KeyPath, Problem, choice};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_yaml::Value;
use std::collections::HashSet;
use std::fmt::{self, Display};

/// Reads a `T` and lists everything in the document that is no part of one. What is wrong is taken out and the rest
/// read again, so that all problems come to light; a `T` comes out beside problems if it has defaults for what was
/// taken out.
pub fn read<T: for<'de> Deserialize<'de>>(mut document: Value) -> (Option<T>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut taken_out = HashSet::new();
    loop {
        let mismatch = match T::deserialize(Node(&document)) {
            Ok(value) => return (Some(value), problems),
            Err(mismatch) => mismatch,
        };
        let wrong = mismatch.wrong_key();
        // A key that is missing because it was taken out has been told already; only now it shows that it has no
        // default.
        let missing = mismatch.missing_key().filter(|key| taken_out.contains(key));
        match missing {
            Some(key) => problems.iter_mut().filter(|problem| problem.at == key).for_each(without_default),
            None => problems.push(mismatch.problem()),
        }
        if problems.len() >= MOST_PROBLEMS {
            return (None, problems);
        }
        if !remove(&mut document, &wrong) {
            return (None, problems);
        }
        taken_out.insert(wrong);
    }
}

/// Problems after which the rest of the file is not looked at: each costs one reading of the whole.
const MOST_PROBLEMS: usize = 100;

/// What is said of keys that have a default, where they have no value.
const LEAVE_OUT: &str = "leave the key out for its default";

/// Takes back the advice to rely on a default.
fn without_default(problem: &mut Problem) {
    let Some(hint) = &mut problem.hint else { return };
    match hint.strip_suffix(LEAVE_OUT) {
        Some("") => *hint = "give it one: it has no default".to_owned(),
        Some(choices) => *hint = format!("{choices}it has no default"),
        None => {}
    }
}

/// Takes a key out of the document; false if it is not there, or the document itself.
fn remove(document: &mut Value, key: &KeyPath) -> bool {
    let Some((last, sections)) = key.0.split_last() else { return false };
    let holder = sections.iter().try_fold(document, |value, part| match value {
        Value::Mapping(section) => section.iter_mut().find(|(name, _)| key_text(name) == *part).map(|(_, value)| value),
        Value::Tagged(tagged) => Some(&mut tagged.value),
        _ => None,
    });
    match holder {
        Some(Value::Mapping(section)) => {
            let name = section.keys().find(|name| key_text(name) == *last).cloned();
            name.and_then(|name| section.shift_remove(&name)).is_some()
        }
        _ => false,
    }
}

/// A key as a person reads it: also one that is not text.
fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        other => serde_yaml::to_string(other).unwrap_or_default().trim().to_owned(),
    }
}

/// Where and how the document differs from the settings.
#[derive(Debug)]
struct Mismatch {
    /// The section or value that was being read.
    at: KeyPath,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    UnknownKey { key: String, valid: &'static [&'static str] },
    MissingKey { key: &'static str },
    NotTextKey { key: String },
    UnknownChoice { found: Option<String>, valid: &'static [&'static str] },
    Type { found: Option<String>, expected: String },
    Other(String),
}

impl Mismatch {
    fn new(kind: Kind) -> Self {
        Self { at: KeyPath::default(), kind }
    }

    /// The same, seen from the section around it.
    fn inside(mut self, key: &str) -> Self {
        self.at.0.insert(0, key.to_owned());
        self
    }

    /// What has to go for the rest to be read: the key, or the section that is not whole. A list goes as a whole.
    fn wrong_key(&self) -> KeyPath {
        let mut wrong = match &self.kind {
            Kind::UnknownKey { key, .. } | Kind::NotTextKey { key } => self.at.join(key),
            _ => self.at.clone(),
        };
        if let Some(list) = wrong.0.iter().position(|part| part.starts_with('[')) {
            wrong.0.truncate(list);
        }
        wrong
    }

    fn missing_key(&self) -> Option<KeyPath> {
        match &self.kind {
            Kind::MissingKey { key } => Some(self.at.join(key)),
            _ => None,
        }
    }

    fn problem(self) -> Problem {
        let Self { at, kind } = self;
        let section = if at.0.is_empty() {
            "the file's sections and keys are".to_owned()
        } else {
            format!("the keys of `{at}` are")
        };
        match kind {
            Kind::UnknownKey { key, valid } => Problem {
                what: format!("unknown key `{}`", at.join(&key)),
                hint: Some(choice(&key, valid, &section)),
                at: at.join(&key),
            },
            Kind::MissingKey { key } => Problem {
                what: format!("`{}` is missing", at.join(key)),
                hint: Some(match at.0.is_empty() {
                    true => format!("add `{key}: …`: it has no default"),
                    false => format!("add `{key}: …` to `{at}`: it has no default"),
                }),
                at,
            },
            Kind::NotTextKey { key } => Problem {
                what: format!("the key `{}` is not text", at.join(&key)),
                hint: Some(format!("put it in quotes: `\"{key}\"`")),
                at: at.join(&key),
            },
            Kind::UnknownChoice { found: Some(found), valid } => Problem {
                what: format!("`{at}` cannot be {found}"),
                hint: Some(choice(found.trim_matches('`'), valid, "the values are")),
                at,
            },
            Kind::UnknownChoice { found: None, valid } => Problem {
                what: format!("`{at}` has no value"),
                hint: Some(format!("{}; {LEAVE_OUT}", choice("", valid, "the values are"))),
                at,
            },
            Kind::Type { found, expected } => {
                let hint = type_hint(found.as_deref(), &expected);
                let expected = if expected == WHOLE_NUMBER { limits::whole_number_in_words(&at) } else { expected };
                let found = found.map_or("has no value".to_owned(), |found| format!("is {found}"));
                let subject = if at.0.is_empty() { "the file".to_owned() } else { format!("`{at}`") };
                Problem { what: format!("{subject} {found}; it must be {expected}"), hint, at }
            }
            Kind::Other(what) => Problem { what: format!("`{at}`: {what}"), hint: None, at },
        }
    }
}

/// What to do about a value of another type.
fn type_hint(found: Option<&str>, expected: &str) -> Option<String> {
    let Some(found) = found else { return Some(LEAVE_OUT.to_owned()) };
    let plain = found.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'))?;
    if expected == "text" {
        return Some(format!("put it in quotes: `\"{plain}\"`"));
    }
    let whole = plain.strip_suffix(".0").filter(|_| expected == WHOLE_NUMBER)?;
    Some(format!("write it without a point: `{whole}`"))
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind, self.at)
    }
}

impl std::error::Error for Mismatch {}

impl serde::de::Error for Mismatch {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Kind::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Type { found: found_in_words(found), expected: expected_in_words(expected) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let found = Some(format!("a list of {length}"));
        Self::new(Kind::Type { found, expected: expected_in_words(expected) })
    }

    fn unknown_variant(found: &str, valid: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownChoice { found: Some(format!("`{found}`")), valid })
    }

    fn unknown_field(key: &str, valid: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey { key: key.to_owned(), valid })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(Kind::MissingKey { key })
    }
}

/// What the file has; nothing for a key without a value.
fn found_in_words(found: Unexpected<'_>) -> Option<String> {
    Some(match found {
        Unexpected::Unit | Unexpected::Option => return None,
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        // With its point: `1.0`.
        Unexpected::Float(value) => format!("`{value:?}`"),
        Unexpected::Str(text) => format!("the text `{text}`"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a section".to_owned(),
        other => other.to_string(),
    })
}

/// Stands for the range of the key's whole numbers.
const WHOLE_NUMBER: &str = "a whole number";

/// What serde's visitors call the types of the settings, in the words of the pipeline file.
fn expected_in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "usize" | "u64" => WHOLE_NUMBER.to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" | "path string" => "text".to_owned(),
        "an array of length 2" => "a list of two numbers, as `[0.1, 0.2]`".to_owned(),
        "a map" => "a section: `key: value` on lines of their own, indented".to_owned(),
        text if text.starts_with("struct ") => "a section: `key: value` on lines of their own, indented".to_owned(),
        _ => expected,
    }
}

/// A value of the document. Stricter than serde_yaml's: a list is no section, and only text is text. More lenient in
/// one way: a section whose keys are all commented out has its defaults.
struct Node<'a>(&'a Value);

impl Node<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Unexpected::Unsigned(value),
                (None, Some(value)) => Unexpected::Signed(value),
                (None, None) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Sequence(_) => Unexpected::Seq,
            Value::Mapping(_) => Unexpected::Map,
            Value::Tagged(_) => Unexpected::Other("a value with a tag (`!…`)"),
        }
    }

    fn section<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Mapping(section) => visitor.visit_map(Entries { rest: section.iter(), value: None }),
            Value::Null => visitor.visit_map(Entries { rest: serde_yaml::Mapping::new().iter(), value: None }),
            _ => Err(serde::de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.unexpected() {
            Unexpected::Unit => visitor.visit_unit(),
            Unexpected::Bool(value) => visitor.visit_bool(value),
            Unexpected::Unsigned(value) => visitor.visit_u64(value),
            Unexpected::Signed(value) => visitor.visit_i64(value),
            Unexpected::Float(value) => visitor.visit_f64(value),
            Unexpected::Str(text) => visitor.visit_str(text),
            found => match self.0 {
                Value::Mapping(_) => self.section(visitor),
                Value::Sequence(items) => visitor.visit_seq(Items { all: items, next: 0 }),
                _ => Err(serde::de::Error::invalid_type(found, &visitor)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.section(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.section(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Sequence(items) if items.len() != length => {
                Err(serde::de::Error::invalid_length(items.len(), &visitor))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        valid: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(StrDeserializer::new(text)),
            _ => {
                let found = found_in_words(self.unexpected());
                Err(Mismatch::new(Kind::UnknownChoice { found, valid }))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple_struct identifier ignored_any
    }
}

/// The keys and values of a section.
struct Entries<'a> {
    rest: serde_yaml::mapping::Iter<'a>,
    value: Option<(&'a str, &'a Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        let Some(name) = key.as_str() else {
            return Err(Mismatch::new(Kind::NotTextKey { key: key_text(key) }));
        };
        self.value = Some((name, value));
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let (key, value) =
            self.value.take().ok_or_else(|| Mismatch::new(Kind::Other("a value without a key".to_owned())))?;
        seed.deserialize(Node(value)).map_err(|mismatch| mismatch.inside(key))
    }
}

/// The items of a list.
struct Items<'a> {
    all: &'a [Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some(item) = self.all.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|mismatch| mismatch.inside(&format!("[{index}]")))
    }
}
