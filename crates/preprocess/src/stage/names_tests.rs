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

#[test]
fn other_texts_keep_what_is_harmless() {
    assert_eq!(shown_lines("a\nb\u{1b}"), "a\nb\\u{1b}");
    assert_eq!(json_text("{\n\"a\u{202e}\u{9b}\"\n}"), "{\n\"a\\u202e\\u009b\"\n}");
    assert_eq!(shown("\u{feff}mark 👩\u{200d}👧"), "\\u{feff}mark 👩\u{200d}👧");
}

#[cfg(unix)]
#[test]
fn bytes_are_told_from_text_that_looks_like_them() {
    use std::os::unix::ffi::OsStrExt;
    for (given, expected) in [
        (&b"caf\xe9"[..], "caf\\xE9"),
        (b"caf\\xE9", "caf\\\\xE9"),
        (b"back\\slash\\", "back\\slash\\"),
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

#[cfg(unix)]
proptest! {
    /// Different names stay different on the way from the disk to text, and on the text's way to the screen.
    #[test]
    fn names_stay_different(a in prop::collection::vec(prop::sample::select(b"\\\\xu{}E9\x1b\xe9".to_vec()), 0..8),
                            b in prop::collection::vec(prop::sample::select(b"\\\\xu{}E9\x1b\xe9".to_vec()), 0..8)) {
        use std::os::unix::ffi::OsStrExt;
        let [of_a, of_b] = [&a, &b].map(|bytes| of_file(OsStr::from_bytes(bytes)));
        prop_assert_eq!(a == b, of_a == of_b, "{} {}", of_a, of_b);
        prop_assert_eq!(a == b, shown(&of_a) == shown(&of_b), "{} {}", shown(&of_a), shown(&of_b));
    }
}
