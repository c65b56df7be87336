//! The error that reaches a person: what failed, why, and what to do next.

use super::names::shown;
use std::fmt;
use std::process::ExitCode;

/// A result whose error can be shown to a person as it is.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing failed, for callers that go on from it: the words of an error are for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A gate failed: the program ran, and its verdict is no.
    GateFailed,
    /// The pipeline file, or a setting of the command line, is not what it must be.
    Settings,
    /// Another program works in the same directory.
    Locked,
    /// A signal asked the program to stop. The same command goes on from there.
    Interrupted,
    /// A device has too little memory.
    OutOfMemory,
    /// A file that one run writes and another reads is not as it was written.
    Damaged,
    /// Anything else.
    #[default]
    Other,
}

/// What failed (with the file or key), the chain of causes, and a hint at what to do next.
#[derive(Debug)]
pub struct Error {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    kind: ErrorKind,
}

impl Error {
    /// An error that names what failed and in which file or key.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, kind: ErrorKind::Other }
    }

    /// A gate that failed: the program ran, and its verdict is no.
    pub fn gate(message: impl Into<String>) -> Self {
        Self::new(message).of_kind(ErrorKind::GateFailed)
    }

    /// The same as an error of another kind.
    pub fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// Adds why it failed: the error and all of its own sources.
    pub(crate) fn caused_by(mut self, cause: impl std::error::Error) -> Self {
        let mut next: Option<&dyn std::error::Error> = Some(&cause);
        while let Some(error) = next {
            let text = error.to_string();
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds why it failed, in words.
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Wraps this error in what was being attempted: the old message becomes the first cause, the hint stays.
    pub fn while_doing(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    /// The first line: what failed.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What kind of thing failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The process exit code: 1 for a failed gate, 2 for everything else.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.kind == ErrorKind::GateFailed { 1 } else { 2 })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names in it may hold anything.
        write!(f, "error: {}", shown(&self.message))?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {}", shown(cause))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", shown(hint))?;
        }
        Ok(())
    }
}

/// Adds to a failure of the standard library or another crate what was being attempted.
pub trait Context<T> {
    /// `message` names what failed and the file or key.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: std::error::Error> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::new(message()).caused_by(error))
    }
}
