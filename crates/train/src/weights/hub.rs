//! Weights from the Hugging Face hub, through its cache.
//!
//! A file that is in the cache is used without a request, so that a pipeline trains the same model tomorrow and without
//! a network. One that comes over the network is believed if it has the length that was told and, where the hub names
//! it by its SHA-256 (large files), that checksum; a download that was cut goes on where it was.

use super::hub_settings::HubSettings;
use hf_hub::api::Progress as HubProgress;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use preprocess::stage::error::Context;
use preprocess::stage::interrupt;
use preprocess::stage::progress::Progress;
use preprocess::{Error, ErrorKind, Result, note};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a model's repository on the hub has them called.
const WEIGHTS: &str = "model.safetensors";

/// What describes them.
const CONFIG: &str = "config.json";

/// Downloads that are begun again after a failure.
const RETRIES: usize = 2;

/// How often a waiting program looks whether it should go on waiting.
const LOOK: Duration = Duration::from_millis(20);

/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// Of one model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HubFiles {
    /// `model.safetensors`, in the cache.
    pub weights: PathBuf,
    /// `config.json`, if the repository has one.
    pub config: Option<PathBuf>,
}

/// Whether a text has the form of a name on the hub: `owner/name`, and `@revision` behind it if it is not `main`.
/// Names of files in a directory can have that form too; who asks looks for these first.
pub(crate) fn is_hub_name(text: &str) -> bool {
    let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
    let plain = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with(['.', '-'])
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let is_file = [".safetensors", ".pth", ".pt", ".bin"].iter().any(|end| name.ends_with(end));
    matches!(name.split_once('/'), Some((owner, name)) if plain(owner) && plain(name)) && plain(revision) && !is_file
}

/// Finds a model's weights in the cache, or fetches them. The environment's `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`,
/// `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they do for the hub's own programs.
///
/// # Errors
/// There is no such model, it has no such file or may not be read; no network, no room on the disk; a file that is not
/// what the hub says; an interruption.
pub(crate) fn fetch(name: &str) -> Result<HubFiles> {
    fetch_with(&HubSettings::from_environment()?, name)
}

fn fetch_with(settings: &HubSettings, name: &str) -> Result<HubFiles> {
    let hub = Hub::new(settings, name)?;
    let weights = hub.file(WEIGHTS)?.ok_or_else(|| hub.without_weights())?;
    Ok(HubFiles { weights, config: hub.file(CONFIG)? })
}

/// One model's repository.
struct Hub<'a> {
    settings: &'a HubSettings,
    name: &'a str,
    repo: Repo,
    cache: Cache,
}

impl<'a> Hub<'a> {
    fn new(settings: &'a HubSettings, name: &'a str) -> Result<Self> {
        let (id, revision) = name.split_once('@').unwrap_or((name, "main"));
        let repo = Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned());
        Ok(Self { settings, name, repo, cache: Cache::new(settings.cache.clone()) })
    }

    /// A file of the repository; none if it has none of this name.
    fn file(&self, file: &str) -> Result<Option<PathBuf>> {
        if let Some(cached) = self.cache.repo(self.repo.clone()).get(file) {
            if is_whole(&cached)? {
                return Ok(Some(cached));
            }
            note!("`{}` in the cache is damaged: fetched again", cached.display());
            self.forget(&cached)?;
        }
        if self.settings.offline {
            // Whether the repository has the lesser file can then not be told.
            return if file == CONFIG { Ok(None) } else { Err(self.offline(file)) };
        }
        // A part from before that is of another file shows only at the end: then once more, from the start.
        for _ in 0..2 {
            match self.download(file) {
                Ok(fetched) if is_whole(&fetched)? => return Ok(Some(fetched)),
                Ok(fetched) => self.forget(&fetched)?,
                Err(Failed::Missing) => return Ok(None),
                Err(Failed::Stale) => self.forget_parts()?,
                Err(Failed::Error(error)) => return Err(error),
            }
        }
        Err(self
            .failed(file)
            .because("what came is not what the hub says it has: the checksum differs")
            .hint("try again; if it stays so, something on the way to the hub changes files"))
    }

    /// Downloads a file on a thread of its own, so that silence and interruptions end the wait.
    fn download(&self, file: &str) -> Result<PathBuf, Failed> {
        let api = ApiBuilder::from_cache(self.cache.clone());
        let token = self.settings.token.clone().or_else(|| self.cache.token());
        let api = api.with_endpoint(self.settings.endpoint.clone()).with_token(token).with_retries(RETRIES);
        let api = api.build().map_err(|error| self.explain(file, error))?;
        let (repo, name) = (api.repo(self.repo.clone()), file.to_owned());
        let received = Arc::new(AtomicU64::new(0));
        let progress =
            Bar { label: format!("fetching {file} of {}", self.name), received: Arc::clone(&received), bar: None };
        let worker = thread::spawn(move || repo.download_with_progress(&name, progress));
        let (mut seen, mut since) = (0, Instant::now());
        while !worker.is_finished() {
            interrupt::check()?;
            let now = received.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() > self.settings.patience {
                let waited = self.settings.patience.as_secs_f64();
                let error = self.failed(file).because(format!("the hub has sent nothing for {waited:.0} s"));
                return Err(error.hint("try again: the download goes on where it stopped").into());
            }
            thread::sleep(LOOK);
        }
        match worker.join() {
            Ok(Ok(path)) => Ok(path),
            Ok(Err(error)) => Err(self.explain(file, error)),
            Err(_) => Err(self.failed(file).because("the hub's answer is not one that can be understood").into()),
        }
    }

    /// What went wrong, in words.
    fn explain(&self, file: &str, error: ApiError) -> Failed {
        let request = match &error {
            ApiError::TooManyRetries(last) => last.as_ref(),
            other => other,
        };
        if matches!(request, ApiError::InvalidResume) {
            return Failed::Stale;
        }
        let failed = self.failed(file);
        Failed::Error(match request {
            ApiError::RequestError(error) => return self.refused(failed, error),
            ApiError::IoError(error) if error.kind() == io::ErrorKind::StorageFull => failed
                .of_kind(ErrorKind::Other)
                .because(format!("no room is left on the disk of `{}`", self.settings.cache.display()))
                .hint("free some, or set `HF_HOME` to a directory on another disk"),
            ApiError::IoError(error) => {
                failed.because(error.to_string()).hint("try again: the download goes on where it stopped")
            }
            ApiError::LockAcquisition(file) => failed
                .because(format!("another program is fetching it (`{}` is locked)", file.display()))
                .hint("wait until it is done"),
            other => {
                failed.because(other.to_string()).hint("try again; `HF_ENDPOINT` must be a hub's address, if it is set")
            }
        })
    }

    /// What the hub answered in a file's place, or that it did not.
    fn refused(&self, failed: Error, error: &ureq::Error) -> Failed {
        let is_known = self.settings.token.is_some() || self.cache.token().is_some();
        Failed::Error(match error {
            ureq::Error::StatusCode(404) => return Failed::Missing,
            ureq::Error::StatusCode(401 | 403) if !is_known => failed
                .because(format!("there is no model `{}`, or it is one that not everybody may read", self.name))
                .hint("check the name on the hub; for one that is not public set `HF_TOKEN`"),
            ureq::Error::StatusCode(status @ (401 | 403)) => failed
                .because(format!("the hub refuses your token ({status}), or there is no such model"))
                .hint("check the name, whether the model's conditions are accepted on its page, and `HF_TOKEN`"),
            ureq::Error::StatusCode(status) => {
                failed.because(format!("the hub answered with status {status}")).hint("try again later")
            }
            other => failed.because(other.to_string()).hint(
                "check the network; without one set `HF_HUB_OFFLINE=1` and use weights of the cache, or name a file",
            ),
        })
    }

    /// The repository has no weights of this format; says what it has.
    fn without_weights(&self) -> Error {
        let error = Error::new(format!("the model `{}` of the hub has no `{WEIGHTS}`", self.name));
        let api = ApiBuilder::from_cache(self.cache.clone()).with_endpoint(self.settings.endpoint.clone());
        let listed =
            api.with_token(self.settings.token.clone()).build().and_then(|api| api.repo(self.repo.clone()).info());
        let Ok(info) = listed else {
            return error.hint("check the name on the hub: there may be no such model, or no such revision");
        };
        let files: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).take(20).collect();
        let pytorch = files.iter().find(|file| file.ends_with(".bin") || file.ends_with(".pth"));
        let error = error.because(format!("its files are: {}", files.join(", ")));
        match pytorch {
            Some(file) => {
                error.hint(format!("download `{file}` and turn it into safetensors by `train weights import`"))
            }
            None => error.hint("name another model, or a safetensors file"),
        }
    }

    fn offline(&self, file: &str) -> Error {
        self.failed(file)
            .because(format!(
                "it is not in the cache (`{}`), and `HF_HUB_OFFLINE` forbids requests",
                self.cache.path().display()
            ))
            .hint("unset `HF_HUB_OFFLINE`, or copy the cache from a machine that has the model")
    }

    fn failed(&self, file: &str) -> Error {
        Error::new(format!("cannot fetch `{file}` of `{}` from {}", self.name, self.settings.endpoint))
    }

    /// Removes what downloads that were cut have left.
    fn forget_parts(&self) -> Result<()> {
        let blobs = self.cache.repo(self.repo.clone()).blob_path("");
        let cannot = || format!("cannot tidy `{}`", blobs.display());
        for entry in fs::read_dir(&blobs).context(cannot)? {
            let path = entry.context(cannot)?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(&path).context(cannot)?;
            }
        }
        Ok(())
    }

    /// Removes a file of the cache with what it points to.
    fn forget(&self, pointer: &Path) -> Result<()> {
        let cannot = || format!("cannot remove `{}`, which is damaged", pointer.display());
        let content = pointer.canonicalize().context(cannot)?;
        fs::remove_file(&content).context(cannot)?;
        if content != pointer {
            fs::remove_file(pointer).context(cannot)?;
        }
        Ok(())
    }
}

/// Why there is no file.
enum Failed {
    /// The repository has none of this name, or there is no such repository.
    Missing,
    /// There is a part from before that cannot be of this file.
    Stale,
    Error(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Whether the content is that which its name in the cache says, where that is a SHA-256; the hub names small files by
/// another checksum, of which length and end are all that can be held against them.
fn is_whole(pointer: &Path) -> Result<bool> {
    let cannot = || format!("cannot read `{}`", pointer.display());
    let content = pointer.canonicalize().context(cannot)?;
    let name = content.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.len() != SHA256_DIGITS || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(true);
    }
    let mut file = fs::File::open(&content).context(cannot)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        interrupt::check()?;
        match file.read(&mut buffer).context(cannot)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(digest == name.to_ascii_lowercase())
}

/// The project's progress, told by the hub's.
struct Bar {
    label: String,
    received: Arc<AtomicU64>,
    bar: Option<Progress>,
}

impl HubProgress for Bar {
    fn init(&mut self, size: usize, _: &str) {
        self.bar.get_or_insert_with(|| Progress::new(self.label.clone(), size as u64, "bytes"));
    }

    fn update(&mut self, size: usize) {
        self.received.fetch_add(size as u64, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.advance(size as u64);
        }
    }

    fn finish(&mut self) {
        self.bar = None;
    }
}

#[cfg(test)]
mod tests;
