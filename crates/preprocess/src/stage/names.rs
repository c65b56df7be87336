//! Names of files and classes on their way to a person or another program.
//!
//! A name may hold any byte but `/` and zero: escape sequences that repaint a terminal, line breaks that forge a message,
//! overrides that turn the reading direction round, bytes that are no UTF-8. [`of_file`] makes text of it, [`shown`] makes that
//! fit for terminals and documents, [`csv_cell`] and [`json_text`] for those formats. In none of them do two different names
//! become the same: a backslash that could be taken for the beginning of an escape is doubled.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// Whether a character does something else than being seen: control characters, overrides of the reading direction (which show
/// a name as another), line separators, and blanks without width that no script needs.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A name for a terminal, an error or a document: what is unsafe becomes `\u{1b}`.
pub fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// A text of several lines for a terminal: as [`shown`], with its line breaks.
pub fn shown_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_unsafe(c))
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A path for a terminal or an error. Bytes that are no UTF-8 are `\xE9`.
pub fn path(path: &Path) -> String {
    shown(&of_file(path.as_os_str())).into_owned()
}

/// Where a relative path is looked for, as a hint; nothing for an absolute one.
pub fn relative_to(path: &Path) -> Option<String> {
    if path.is_absolute() {
        return None;
    }
    let directory = std::env::current_dir().ok()?;
    Some(format!("the path is relative to the working directory, `{}`", self::path(&directory)))
}

/// A file's name as text: bytes that are no UTF-8 become `\xE9`. Different names stay different.
pub fn of_file(name: &OsStr) -> String {
    match name.to_str() {
        Some(name) if !name.contains('\\') => name.to_owned(),
        _ => encode(name.as_encoded_bytes(), &["x", "u{"], false),
    }
}

/// A cell of a CSV file. What a spreadsheet would take for a formula gets a leading `'`, what is unsafe is escaped.
/// [`from_csv_cell`] brings the text back.
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(FORMULA);
    if !formula && !text.contains('\\') && !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let text = encode(text.as_bytes(), &["u{"], true);
    Cow::Owned(if formula { format!("'{text}") } else { text })
}

/// What begins a formula in a spreadsheet; and the sign that says it is none, so that it can be taken away again.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\n', '\''];

/// The text of which [`csv_cell`] made this cell.
pub fn from_csv_cell(cell: &str) -> Cow<'_, str> {
    let rest = match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(FORMULA) || rest.starts_with("\\u{") => rest,
        _ => cell,
    };
    if !rest.contains("\\u{") {
        return Cow::Borrowed(rest);
    }
    Cow::Owned(decode(rest))
}

/// JSON whose strings are safe on a terminal as well: it escapes what serde leaves as it is. The same JSON to every reader.
pub fn json_text(json: &str) -> Cow<'_, str> {
    if !json.chars().any(|c| c != '\n' && is_unsafe(c)) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if c != '\n' && is_unsafe(c) {
            // All of them are in the first plane: one unit of UTF-16.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Escapes bytes that are no UTF-8 (`\xE9`) and, if `escape`, unsafe characters (`\u{1b}`). Backslashes before what is escaped here
/// or later, and before one of `marks`, with which such an escape goes on, are doubled.
fn encode(bytes: &[u8], marks: &[&str], escape: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut backslashes = 0;
    let flush = |out: &mut String, before_escape: bool, backslashes: &mut usize| {
        let times = if before_escape { 2 } else { 1 };
        out.extend(std::iter::repeat_n('\\', times * std::mem::take(backslashes)));
    };
    for chunk in bytes.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            if c == '\\' {
                backslashes += 1;
                continue;
            }
            let looks_like_one = marks.iter().any(|mark| chunk.valid()[at..].starts_with(mark));
            flush(&mut out, looks_like_one || is_unsafe(c), &mut backslashes);
            if escape && is_unsafe(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
        }
        for byte in chunk.invalid() {
            flush(&mut out, true, &mut backslashes);
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
    flush(&mut out, false, &mut backslashes);
    out
}

/// Takes back what [`csv_cell`] escaped.
fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let run = rest[at..].bytes().take_while(|&byte| byte == b'\\').count();
        let after = &rest[at + run..];
        let escape = after.strip_prefix("u{").and_then(|hex| {
            let (hex, behind) = hex.split_once('}')?;
            Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, behind))
        });
        let doubled = after.starts_with("u{");
        out.extend(std::iter::repeat_n('\\', if doubled { run / 2 } else { run }));
        rest = match escape.filter(|_| run % 2 == 1) {
            Some((c, behind)) => {
                out.push(c);
                behind
            }
            None => after,
        };
    }
    out + rest
}

/// Pairs of names that look alike though they differ (`é` as one character, or as `e` and an accent), each with how they do.
pub fn look_alikes(names: &[String]) -> Vec<(&str, &str, String)> {
    let mut seen = std::collections::BTreeMap::<String, &str>::new();
    let mut found = Vec::new();
    for name in names {
        let look: String = name.nfkc().filter(|c| !is_unsafe(*c)).collect();
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
