//! Names of files and classes where a person or a spreadsheet reads them. Whoever names a file may put anything into
//! its name: sequences that command a terminal, line breaks that forge a message, characters that turn the direction
//! of writing, or a formula that a spreadsheet computes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// A name for a terminal, a message or a log: control characters, line separators and marks that change the direction
/// of writing become `\u{…}`. A name that needs that, or that holds `\u{` itself, has its backslashes doubled, so that
/// two names never look alike. Every other name stays as it is.
pub fn shown(name: &str) -> Cow<'_, str> {
    if !name.chars().any(is_dangerous) && !name.contains(ESCAPE) {
        return Cow::Borrowed(name);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            _ if is_dangerous(character) => {
                let _ = write!(text, "{ESCAPE}{:x}}}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    Cow::Owned(text)
}

/// What an escaped character begins with, and what no name that is shown as it is holds.
const ESCAPE: &str = "\\u{";

/// Controls, separators of lines and paragraphs, marks, embeddings, overrides and isolates of the direction of
/// writing, and characters without width that no script needs.
pub fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
}

/// A text of several lines for a terminal: whatever names in it hold, no control character but the line break gets
/// through. Names are best given to [`shown`] first, which escapes their line breaks too.
pub(crate) fn shown_lines(text: &str) -> Cow<'_, str> {
    let stays = |character: char| character == '\n' || !is_dangerous(character);
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if stays(character) { out.push(character) } else { out.extend(character.escape_unicode()) }
    }
    Cow::Owned(out)
}

/// A file's name as text: bytes that are no UTF-8 become `\xE9`. In a name that has such bytes, or text that looks
/// like them, backslashes are doubled, so that different names stay different; every other name stays as it is.
pub fn of_file(name: &OsStr) -> String {
    match name.to_str() {
        Some(name) if !name.contains("\\x") => return name.to_owned(),
        _ => {}
    }
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    text
}

/// A path for a terminal or a message.
pub fn path(path: &Path) -> String {
    shown(&of_file(path.as_os_str())).into_owned()
}

/// Where a relative path is looked for, as the cause of an error; nothing for an absolute one.
pub fn relative_to(path: &Path) -> Option<String> {
    if path.is_absolute() {
        return None;
    }
    let directory = std::env::current_dir().ok()?;
    Some(format!("the path is relative to the working directory, `{}`", self::path(&directory)))
}

/// JSON whose strings are safe on a terminal as well: what serde leaves as it is is escaped. The same JSON to every
/// reader.
pub fn json_text(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_dangerous(character) {
            // All of them are in the first plane: one unit of UTF-16.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// What makes a spreadsheet take a cell for a formula.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// A name as a cell of a CSV file: as [`shown`], and with an apostrophe before what a spreadsheet would take for a
/// formula (and before an apostrophe, so that the way back is certain).
pub fn csv_cell(name: &str) -> Cow<'_, str> {
    let text = shown(name);
    if text.starts_with(FORMULA) || text.starts_with('\'') { Cow::Owned(format!("'{text}")) } else { text }
}

/// The name that [`csv_cell`] made a cell of.
pub(crate) fn from_csv_cell(cell: &str) -> String {
    let mut rest = cell.strip_prefix('\'').unwrap_or(cell);
    if !rest.contains(ESCAPE) {
        return rest.to_owned();
    }
    let mut name = String::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        name.push_str(&rest[..at]);
        let (character, after) = escaped(&rest[at..]).unwrap_or(('\\', &rest[at + 1..]));
        name.push(character);
        rest = after;
    }
    name.push_str(rest);
    name
}

/// The character whose escape `text` begins with, and what follows.
fn escaped(text: &str) -> Option<(char, &str)> {
    if let Some(rest) = text.strip_prefix("\\\\") {
        return Some(('\\', rest));
    }
    let (digits, rest) = text.strip_prefix(ESCAPE)?.split_once('}')?;
    let character = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
    Some((character, rest))
}

/// Pairs of names that look alike though they differ (`é` as one character, or as `e` and an accent), each with how
/// they do.
pub(crate) fn look_alikes(names: &[String]) -> Vec<(&str, &str, String)> {
    let mut seen = BTreeMap::<String, &str>::new();
    let mut found = Vec::new();
    for name in names {
        let look: String = name.nfkc().filter(|c| !is_dangerous(*c)).collect();
        match seen.get(&look) {
            Some(first) => found.push((*first, name.as_str(), difference(first, name))),
            None => _ = seen.insert(look, name),
        }
    }
    found
}

/// The first characters in which two names differ, by their numbers: `U+00E9` against `U+0065 U+0301`.
fn difference(a: &str, b: &str) -> String {
    let same = std::iter::zip(a.chars(), b.chars()).take_while(|(a, b)| a == b).count();
    let mut tail: Vec<Vec<char>> = [a, b].map(|name| name.chars().skip(same).collect()).into();
    while tail.iter().all(|chars| chars.len() > 1) && tail[0].last() == tail[1].last() {
        tail.iter_mut().for_each(|chars| _ = chars.pop());
    }
    let numbers = |chars: &[char]| {
        let shown = chars.iter().take(4).map(|&c| format!("U+{:04X}", u32::from(c))).collect::<Vec<_>>().join(" ");
        if shown.is_empty() { "nothing".to_owned() } else { shown }
    };
    format!("{} against {}", numbers(&tail[0]), numbers(&tail[1]))
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
