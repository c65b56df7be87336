//! Says whether two values or files are the same: BLAKE3, in hexadecimal.

use super::error::Context;
use super::files;
use crate::Result;
use serde::Serialize;
use std::path::Path;

/// The fingerprint of a value: of its JSON form, so that it changes with any field's name or value and with nothing
/// else.
///
/// # Errors
/// The value has no JSON form (a map whose keys are not text).
pub fn of_value<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    serde_json::to_writer(&mut hasher, value).context(|| "cannot fingerprint the settings".to_owned())?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The fingerprint of bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The fingerprint of a file's content, read as a stream.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    files::open(path)
        .and_then(|file| hasher.update_reader(file).map(|_| ()))
        .context(|| format!("cannot read `{}`", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_its_bytes_and_the_published_digest_agree() {
        // The BLAKE3 of no bytes, from the reference implementation's README and test vectors.
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        assert_eq!(of_file(file.path()).expect("readable"), empty);
        assert_eq!(of_bytes(b""), empty);
        assert_eq!(of_value(&("a", 1, 0.1)).expect("JSON"), of_bytes(br#"["a",1,0.1]"#));
    }
}
