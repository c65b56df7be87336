//! Names of files and classes where a person or a spreadsheet reads them. Whoever names a file may put anything into its name:
//! sequences that command a terminal, line breaks that forge a message, characters that turn the direction of writing, or a
//! formula that a spreadsheet computes.

use std::borrow::Cow;
use std::fmt::Write;

/// A name for a terminal, a message or a log: control characters, line separators and marks that change the direction of
/// writing become `\u{…}`. A name that needs that, or that holds `\u{` itself, has its backslashes doubled, so that two names never
/// look alike. Every other name stays as it is.
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

/// Controls, separators of lines and paragraphs, and marks, embeddings, overrides and isolates of the direction of writing.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What makes a spreadsheet take a cell for a formula.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// A name as a cell of a CSV file: as [`shown`], and with an apostrophe before what a spreadsheet would take for a formula (and
/// before an apostrophe, so that the way back is certain).
pub fn csv_cell(name: &str) -> Cow<'_, str> {
    let text = shown(name);
    if text.starts_with(FORMULA) || text.starts_with('\'') { Cow::Owned(format!("'{text}")) } else { text }
}

/// The name that [`csv_cell`] made a cell of.
pub fn from_csv_cell(cell: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dangerous_names_are_shown_harmless() {
        for (name, expected) in [
            ("cat/0042.jpg", "cat/0042.jpg"),
            ("猫/é \"x\".png", "猫/é \"x\".png"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\nerror: b", "a\\u{a}error: b"),
            ("a\u{202e}gpj.exe", "a\\u{202e}gpj.exe"),
            ("a\\u{a}", "a\\\\u{a}"),
            ("back\\slash", "back\\slash"),
        ] {
            assert_eq!(shown(name), expected, "{name:?}");
        }
    }

    #[test]
    fn formulas_are_text() {
        for (name, expected) in [
            ("=1+2", "'=1+2"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum", "'@sum"),
            ("\t=1", "\\u{9}=1"),
            ("'tis", "''tis"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(csv_cell(name), expected, "{name:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_cell_says_which_name_it_was(name in "[\\\\u{}a0-9=+'\\n\\x1b\u{202e}é]{0,12}") {
            prop_assert_eq!(from_csv_cell(&csv_cell(&name)), name);
        }
    }
}
