//! Files of `torch.save` (`tests/fixtures/pth.py`): what is read of them against PyTorch, and what is refused.

use super::*;
use crate::weights::foreign;
use std::fs;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth").join(name)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(path(&format!("{name}.pth"))).unwrap()
}

fn read_fixture(name: &str) -> Result<Checkpoint, String> {
    read(&path(&format!("{name}.pth"))).map_err(|error| error.to_string())
}

/// As [`read`], from memory.
fn decode(bytes: &[u8]) -> Result<Checkpoint> {
    let contents = match Kind::of(bytes) {
        Kind::Zip => open_zip(bytes),
        Kind::Pickle => open_legacy(bytes),
        kind => Err(kind.explain(Error::new("no file of PyTorch"), Path::new("weights"))),
    };
    arrays(&contents?, bytes.len())
}

fn by_name(mut arrays: Vec<Array>) -> Vec<Array> {
    arrays.sort_by(|a, b| a.name.cmp(&b.name));
    arrays
}

#[test]
fn arrays_are_those_that_pytorch_saved() {
    for name in [
        "plain",
        "protocol-3",
        "protocol-4",
        "protocol-5",
        "legacy",
        "checkpoint",
        "averaged",
        "views",
        "types",
        "types-legacy",
        "big-endian",
        "python-2",
        "malicious",
        "malicious-entry",
    ] {
        let read = read_fixture(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = foreign::read(&path(&format!("expected/{name}.safetensors"))).unwrap();
        assert_eq!(by_name(read.arrays), by_name(expected.arrays), "{name}");
    }
}

#[test]
fn what_is_left_out_is_said() {
    for (name, key, remarks) in [
        ("plain", None, &["left out: 1 array of integers: `1.num_batches_tracked`"][..]),
        ("python-2", None, &[]),
        (
            "averaged",
            Some("state_dict_ema"),
            &[
                "left out: 1 other state dict: `state_dict`",
                "left out: 1 array of integers: `module._orig_mod.1.num_batches_tracked`",
                "removed from the beginning of all names: `module._orig_mod.`",
                "named in the file, passed over and not executed: `argparse.Namespace`",
            ],
        ),
        (
            "types",
            None,
            &[
                "left out: 6 arrays of integers: `int64`, `int32`, `int16`, `int8`, `uint8`, …",
                "left out: 4 entries that are no arrays of floats: `complex`, `eighth`, `note`, `number`",
                "named in the file, passed over and not executed: \
                 `torch.float8_e5m2`, `torch._utils._rebuild_tensor_v3`",
            ],
        ),
        (
            "malicious-entry",
            None,
            &[
                "left out: 1 entry that is no array of floats: `b.weight`",
                "named in the file, passed over and not executed: `posix.system`",
            ],
        ),
        ("legacy", Some("model"), &["left out: 1 array of integers: `1.num_batches_tracked`"]),
    ] {
        let read = read_fixture(name).unwrap();
        assert_eq!(
            (read.key.as_deref(), &read.remarks()[..]),
            (key, &remarks.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>()[..]),
            "{name}"
        );
    }
}

#[test]
fn what_holds_no_usable_weights_is_refused_with_a_reason() {
    for (name, part) in [
        ("two-of-one-name", "two entries of the name `a`"),
        ("beyond", "the tensor `a` reaches beyond its memory"),
        ("huge-shape", "the tensor `a` reaches beyond its memory"),
        ("huge-expanded", "would take 4398046511104 bytes, far more than the file holds"),
        ("huge-storage", "the memory `0` of its tensors is cut short"),
        ("huge-text", "a pickle in it is cut short"),
        ("huge-memo", "no state dict"),
        ("nothing", "no state dict"),
        ("no-state-dict", "no state dict; its keys: `epoch`, `weights`"),
        ("not-a-number", "`b.weight` holds values that are no finite 32-bit floats"),
        ("malicious-root", "some other object of Python"),
        ("malicious-pickle", "a pickle, but none of PyTorch's"),
        ("module", "some other object of Python"),
        ("torchscript", "a program of TorchScript"),
        ("other.zip", "a zip archive, but none of PyTorch's"),
        ("compressed", "is compressed or encrypted"),
        ("missing", "the memory `1` of its tensors is missing"),
        ("expected/plain", "cannot read"),
    ] {
        let error = read_fixture(name).expect_err(name);
        assert!(error.contains(part), "{name}: no `{part}` in {error}");
        assert!(name == "expected/plain" || error.contains("hint: "), "{name}: {error}");
    }
    let error = read(&path("expected/plain.safetensors")).unwrap_err().to_string();
    assert!(error.contains("it is a safetensors file\n  hint: use it as it is"), "{error}");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for name in ["plain", "protocol-4", "legacy", "types-legacy", "big-endian"] {
        let whole = fixture(name);
        decode(&whole).unwrap();
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{name} cut to {length} bytes");
        }
    }
}

/// Whatever a byte says, nothing panics, and no more comes out than the file may come to. A zip archive's checksums
/// hide its pickle from this, which is therefore altered by itself too.
#[test]
fn no_byte_makes_reading_panic() {
    for name in ["plain", "checkpoint", "views", "types", "legacy", "types-legacy", "python-2"] {
        let whole = fixture(name);
        for at in 0..whole.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let Ok(read) = decode(&bytes) else { continue };
                let values: usize = read.arrays.iter().map(|array| array.values.len()).sum();
                assert!(values * size_of::<f32>() <= most_bytes(bytes.len()), "{name}, byte {at}: {values} values");
            }
        }
    }
}

#[test]
fn no_byte_of_a_pickle_makes_reading_panic() {
    for name in ["checkpoint", "views", "types", "protocol-4"] {
        let whole = fixture(name);
        let Contents { pickle, order, storages } = open_zip(&whole).unwrap();
        let start = whole.windows(2).position(|bytes| bytes[0] == 0x80 && matches!(bytes[1], 2..=5)).unwrap();
        let original = &whole[start..start + pickle.length];
        assert_eq!(original.last(), Some(&b'.'), "{name}");
        for at in 0..original.len() {
            for flip in [0x01, 0x02, 0x10, 0x80, 0xff] {
                let mut bytes = original.to_vec();
                bytes[at] ^= flip;
                let Ok(pickle) = crate::weights::pickle::Pickle::read(&bytes) else { continue };
                if crate::weights::state_dict::storages(&pickle).is_err() {
                    continue;
                }
                // Storages of other keys are missing then.
                let altered = Contents { pickle, order, storages: storages.clone() };
                let _ = arrays(&altered, whole.len());
            }
        }
    }
}
