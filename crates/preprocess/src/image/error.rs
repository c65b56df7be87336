//! Why an image could not be read.

/// Why an image could not be read: a finding about the file, not a failure of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageError {
    /// In words, without the file's name.
    pub reason: String,
}

impl ImageError {
    pub(super) fn new(reason: impl std::fmt::Display) -> Self {
        // Some decoders' messages span lines; a finding is one line of a list.
        Self { reason: reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ") }
    }
}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ImageError {}
