use super::*;
use proptest::prelude::*;

#[test]
fn what_is_unsafe_is_escaped_and_nothing_else() {
    for (given, expected) in [
        ("plain häuser 日本 👩‍👧", "plain häuser 日本 👩‍👧"),
        ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
        ("two\nlines\r", "two\\u{a}lines\\u{d}"),
        ("a\u{202e}gnp.exe", "a\\u{202e}gnp.exe"),
        ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
        ("\u{feff}mark", "\\u{feff}mark"),
    ] {
        assert_eq!(shown(given), expected);
    }
    assert_eq!(shown_lines("a\nb\u{1b}"), "a\nb\\u{1b}");
    assert_eq!(json_text("{\n\"a\u{202e}\u{9b}\"\n}"), "{\n\"a\\u202e\\u009b\"\n}");
}

#[test]
fn formulas_are_neutralised() {
    for (given, expected) in [
        ("cat/1.png", "cat/1.png"),
        ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\\u{9}=1"),
        ("\r=1", "'\\u{d}=1"),
        ("'=1", "''=1"),
        ("it's", "it's"),
    ] {
        assert_eq!(csv_cell(given), expected, "{given:?}");
        assert_eq!(from_csv_cell(expected), given);
    }
}

#[cfg(unix)]
#[test]
fn bytes_are_told_from_text_that_looks_like_them() {
    use std::os::unix::ffi::OsStrExt;
    for (given, expected) in [
        (&b"caf\xe9"[..], "caf\\xE9"),
        (b"caf\\xE9", "caf\\\\xE9"),
        (b"caf\\\\xE9", "caf\\\\\\\\xE9"),
        (b"back\\slash\\", "back\\slash\\"),
        (b"\\u{1b}", "\\\\u{1b}"),
        ("café".as_bytes(), "café"),
    ] {
        assert_eq!(of_file(OsStr::from_bytes(given)), expected, "{given:?}");
    }
    assert_ne!(path(Path::new("\\u{1b}")), path(Path::new("\u{1b}")));
}

#[test]
fn names_that_look_alike_are_told_with_their_difference() {
    let names = ["cafe", "caf\u{e9}", "cafe\u{301}", "dog\u{200b}", "dog"].map(str::to_owned);
    assert_eq!(
        look_alikes(&names),
        [
            ("caf\u{e9}", "cafe\u{301}", "U+00E9 against U+0065 U+0301".to_owned()),
            ("dog\u{200b}", "dog", "U+200B against nothing".to_owned())
        ]
    );
}

proptest! {
    #[test]
    fn a_cell_comes_back_and_holds_nothing_unsafe(text in "[=+\\-@'\\\\ux{}0-9a\t\r\n\u{1b}\u{202e}é]{0,12}") {
        let cell = csv_cell(&text);
        prop_assert!(!cell.chars().any(is_unsafe));
        prop_assert!(!cell.starts_with(['=', '+', '-', '@']), "{}", cell);
        prop_assert_eq!(from_csv_cell(&cell), text);
    }

    /// Different names stay different on disk's way to text and on the text's way to the screen.
    #[cfg(unix)]
    #[test]
    fn names_stay_different(a in prop::collection::vec(prop::sample::select(b"\\\\xu{}E9\x1b\xe9".to_vec()), 0..8),
                            b in prop::collection::vec(prop::sample::select(b"\\\\xu{}E9\x1b\xe9".to_vec()), 0..8)) {
        use std::os::unix::ffi::OsStrExt;
        let [of_a, of_b] = [&a, &b].map(|bytes| of_file(OsStr::from_bytes(bytes)));
        prop_assert_eq!(a == b, of_a == of_b, "{} {}", of_a, of_b);
        prop_assert_eq!(a == b, shown(&of_a) == shown(&of_b), "{} {}", shown(&of_a), shown(&of_b));
    }
}
