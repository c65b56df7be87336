//! Placeholder until `preprocess::stage::atomic_file` is merged.

use preprocess::Result;
use preprocess::stage::error::Context;
use std::io::Write;
use std::path::Path;

pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let run = || {
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        write(&mut file)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok::<(), std::io::Error>(())
    };
    run().context(|| format!("cannot write `{}`", path.display()))
}
