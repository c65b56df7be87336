//! What a file is that was meant to hold weights, by its first bytes.

use preprocess::Error;
use std::path::Path;

/// What people give for a file of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Empty,
    /// Has the form of a safetensors file's beginning.
    Safetensors,
    /// As `torch.save` makes since PyTorch 1.6.
    Zip,
    /// As `torch.save` made before.
    Pickle,
    /// A page about the file in its place.
    Html,
    /// What stands in a repository for a large file that was not fetched.
    LfsPointer,
    /// Keras' weights.
    Hdf5,
    Unknown,
}

impl Kind {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let text = bytes.trim_ascii_start();
        let begins =
            |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()));
        match bytes {
            [] => Self::Empty,
            // Eight bytes of the header's length, which may be any, and the header.
            [_, _, _, _, _, _, 0, 0, b'{', ..] => Self::Safetensors,
            [b'P', b'K', 3, 4, ..] => Self::Zip,
            [0x80, 2..=5, ..] => Self::Pickle,
            [0x89, b'H', b'D', b'F', ..] => Self::Hdf5,
            _ if bytes.starts_with(b"version https://git-lfs.github.com/spec/") => Self::LfsPointer,
            _ if begins("<!doctype") || begins("<html") || begins("<?xml") || begins("<head") => Self::Html,
            _ => Self::Unknown,
        }
    }

    /// Adds to the error why a file of this kind is not the one that was wanted, and what to do.
    pub(super) fn explain(self, error: Error, file: &Path) -> Error {
        let import = format!("`train weights import {}` makes a safetensors file of it", file.display());
        match self {
            Self::Empty => error.because("it is empty").hint("fetch it again"),
            Self::Zip | Self::Pickle => error.because("it is a file of PyTorch's `torch.save`").hint(import),
            Self::Html => error
                .because("it is a web page (HTML), as a link to a page about a file gives")
                .hint("fetch the file itself: on Hugging Face the address with `/resolve/` in place of `/blob/`"),
            Self::LfsPointer => error
                .because("it is a pointer of Git LFS: the text that stands for a large file until that is fetched")
                .hint("run `git lfs pull` in that repository, or download the file itself"),
            Self::Hdf5 => error
                .because("it is an HDF5 file, as Keras writes")
                .hint("save the weights as safetensors or with `torch.save`"),
            Self::Safetensors => error.because("it is a safetensors file").hint("use it as it is"),
            Self::Unknown => error
                .because("its first bytes are those of no format for weights that is known here")
                .hint("name a safetensors file; one of PyTorch becomes one by `train weights import`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_kind() {
        for (bytes, kind) in [
            (&b""[..], Kind::Empty),
            (b"\x80\x02\0\0\0\0\0\0{\"a\":", Kind::Safetensors),
            (b"PK\x03\x04\0\0", Kind::Zip),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", Kind::Pickle),
            (b"\n <!DOCTYPE html><html>", Kind::Html),
            (b"<HTML lang=en>", Kind::Html),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", Kind::LfsPointer),
            (b"\x89HDF\r\n\x1a\n", Kind::Hdf5),
            (b"\x80", Kind::Unknown),
            (b"weights", Kind::Unknown),
        ] {
            assert_eq!(Kind::of(bytes), kind, "{}", bytes.escape_ascii());
        }
    }
}
