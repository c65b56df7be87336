//! What [`read`](super::read) makes of files, whole, broken and of other kinds.

use super::*;
use safetensors::tensor::TensorView;
use std::fs;

fn file(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views = tensors.iter().map(|&(name, dtype, shape, bytes)| {
        let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
        (name.to_owned(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

fn sample() -> Vec<u8> {
    let doubles = [0.1f64.to_le_bytes(), 2f64.to_le_bytes()].concat();
    file(&[
        ("conv1.weight", Dtype::F16, &[2, 1], &[0x00, 0x3e, 0x00, 0xc0]),
        ("bn1.num_batches_tracked", Dtype::I64, &[], &7i64.to_le_bytes()),
        ("bn1.bias", Dtype::F32, &[1], &0.25f32.to_le_bytes()),
        ("fc.weight", Dtype::F64, &[1, 2], &doubles),
        ("fc.bias", Dtype::BF16, &[1], &[0x80, 0x3f]),
    ])
}

/// What reading a file of these bytes says.
fn outcome(bytes: &[u8]) -> Result<Foreign, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights");
    fs::write(&path, bytes).unwrap();
    read(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
}

#[test]
fn floats_of_every_type_come_as_32_bits_and_counters_are_left_out() {
    let Foreign { mut arrays, checksum } = outcome(&sample()).unwrap();
    arrays.sort_by(|a, b| a.name.cmp(&b.name));
    let array = |name: &str, shape: &[usize], values: &[f32]| Array {
        name: name.into(),
        shape: shape.into(),
        values: values.into(),
    };
    let expected = [
        array("bn1.bias", &[1], &[0.25]),
        array("conv1.weight", &[2, 1], &[1.5, -2.0]),
        array("fc.bias", &[1], &[1.0]),
        array("fc.weight", &[1, 2], &[0.1, 2.0]),
    ];
    assert_eq!(arrays, expected);
    assert_eq!(checksum, blake3::hash(&sample()).to_hex().to_string());
}

#[test]
fn what_is_no_safetensors_file_is_called_what_it_is() {
    let no_header = [&(1u64 << 60).to_le_bytes()[..], b"{\"a\":{}}"].concat();
    let long_header = [&(1u64 << 40).to_le_bytes()[..], b"{\"a\":{}}"].concat();
    for (name, bytes, parts) in [
        ("empty", Vec::new(), &["it is empty"][..]),
        (
            "torch.save",
            b"PK\x03\x04 and more".to_vec(),
            &["PyTorch's `torch.save`", "hint: `train weights import FILE`"],
        ),
        (
            "before PyTorch 1.6",
            b"\x80\x02\x8a\x0al\xfc\x9cF\xf9".to_vec(),
            &["`torch.save`", "`train weights import FILE`"],
        ),
        ("page", b"<!doctype html><p>".to_vec(), &["a web page (HTML)", "/resolve/"]),
        (
            "pointer",
            b"version https://git-lfs.github.com/spec/v1\noid".to_vec(),
            &["pointer of Git LFS", "git lfs pull"],
        ),
        ("header of 2^60 bytes", no_header, &["its first bytes are those of no format"]),
        ("header of 2^40 bytes", long_header, &["is no safetensors file, or a damaged one", "header too large"]),
        ("text", b"weights, honestly".to_vec(), &["its first bytes are those of no format"]),
    ] {
        let error = outcome(&bytes).expect_err(name);
        assert!(error.starts_with("error: `FILE` is no safetensors file"), "{name}: {error}");
        for part in parts {
            assert!(error.contains(part), "{name}: no `{part}` in {error}");
        }
    }
}

#[test]
fn values_that_no_network_can_use_are_refused_by_the_arrays_name() {
    let nan = [1f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
    for (name, tensor, part) in [
        ("NaN", ("a.weight", Dtype::F32, &[2usize][..], &nan[..]), "`a.weight` holds values that are no finite"),
        ("infinite", ("b", Dtype::BF16, &[1], &[0x80, 0x7f]), "`b` holds values that are no finite"),
        ("too large", ("c", Dtype::F64, &[1], &1e39f64.to_le_bytes()), "`c` holds values that are no finite"),
        ("8 bits", ("d", Dtype::F8_E4M3, &[1], &[1]), "`d` is of type F8_E4M3"),
        ("only counters", ("e", Dtype::U8, &[1], &[1]), "it holds no array of floating-point numbers"),
    ] {
        let error = outcome(&file(&[tensor])).expect_err(name);
        assert!(error.contains("error: cannot use the weights in `FILE`") && error.contains(part), "{name}: {error}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_with_what_is_missing() {
    let whole = sample();
    for length in 0..whole.len() {
        let error = outcome(&whole[..length]).expect_err("cut short");
        if length > 8 {
            let missing = format!("it has {length} bytes, and ");
            assert!(error.contains("`FILE` is cut short") && error.contains(&missing), "{length}: {error}");
        }
    }
    let error = outcome(&whole[..whole.len() - 3]).expect_err("cut short");
    assert!(error.contains("and 3 more are missing"), "{error}");
    let longer = outcome(&[&whole[..], b"abc"].concat()).expect_err("longer");
    assert!(longer.contains("or a damaged one"), "{longer}");
}

#[test]
fn no_byte_makes_reading_panic() {
    let whole = sample();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            // Most bytes of numbers may be any.
            let _ = decode(&bytes, Path::new("weights"));
        }
    }
}
