//! Text as YAML: as a value, and in a comment.

use crate::stage::names;
use std::fmt::Write;

/// Words and characters that YAML takes for something else than text.
const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// A value that is read as this text: as it is where that is certain, otherwise in double quotes with what cannot
/// stand there escaped.
pub(super) fn value(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() || names::is_dangerous(c) => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A name within a comment: nothing of it ends the line.
pub(super) fn in_comment(name: &str) -> String {
    names::shown(name).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> String {
        let document: serde_yaml::Value = serde_yaml::from_str(&format!("key: {}  # comment\n", value(text))).unwrap();
        document.get("key").and_then(serde_yaml::Value::as_str).unwrap_or_else(|| panic!("{text:?}")).to_owned()
    }

    #[test]
    fn odd_names_are_read_as_they_were() {
        for text in [
            "photos",
            "data/photos",
            "/abs/olute",
            "with space",
            "a: b",
            "a #b",
            "- dash",
            "*star",
            "&and",
            "!tag",
            "%",
            "true",
            "No",
            "null",
            "1e3",
            "0x10",
            "2024-01-01",
            "~",
            "",
            " ",
            "\"quoted\"",
            "it's",
            "back\\slash",
            "tab\t",
            "line\nbreak",
            "{a}",
            "[b]",
            "a,b",
            "@at",
            "`tick",
            "ünï",
            "猫",
            "🐈",
            "\u{202e}reversed",
            "\u{7f}",
            "\u{85}",
            "./x",
        ] {
            assert_eq!(read(text), text);
        }
        assert_eq!(value("data/photos"), "data/photos");
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was(text in any::<String>()) {
            prop_assert_eq!(read(&text), text);
        }

        #[test]
        fn no_name_ends_a_comment(text in any::<String>()) {
            prop_assert_eq!(in_comment(&text).lines().count().max(1), 1);
        }
    }
}
