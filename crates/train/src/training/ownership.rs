//! Whether a model's directory is one that this program may write into: it replaces what it finds there.

use crate::model::directory::{CONFIG_FILE, Config, PREPROCESSOR_FILE, WEIGHTS_FILE};
use crate::model::history::{self, HISTORY_FILE, TIMINGS_FILE};
use crate::model::margins::MARGINS_FILE;
use crate::model::predictions::predictions_file;
use crate::training::checkpoint::CHECKPOINT_DIRECTORY;
use preprocess::pipeline::Split;
use preprocess::stage::error::Context;
use preprocess::stage::{files, names};
use preprocess::{Error, Result};
use std::fs;
use std::path::Path;

/// Makes `<output>/models/<name>` where it is missing. One that is there is this program's if it holds a
/// configuration, a history or a checkpoint of its making, or nothing of the names that it writes: then whatever else
/// lies there stays.
///
/// # Errors
/// It is a link, or holds files of these names that are somebody else's; something in a file's place is none.
pub(crate) fn claim(output: &Path, name: &str) -> Result<()> {
    let directory = files::make_directories(output, &["models", name])?;
    let checkpoints = directory.join(CHECKPOINT_DIRECTORY);
    if fs::symlink_metadata(&checkpoints).is_ok() {
        files::make_directories(&directory, &[CHECKPOINT_DIRECTORY])?;
    }
    let mut files: Vec<_> = [CONFIG_FILE, WEIGHTS_FILE, PREPROCESSOR_FILE, HISTORY_FILE, TIMINGS_FILE, MARGINS_FILE]
        .map(|name| directory.join(name))
        .into();
    files.extend(Split::ALL.map(|split| predictions_file(&directory, split)));
    for file in &files {
        files::refuse_unless_plain(file).context(|| format!("cannot write `{}`", names::path(file)))?;
    }
    let Some(first) = files.iter().find(|file| file.exists()) else { return Ok(()) };
    let is_ours = Config::read(&directory).is_ok()
        || history::read_scores(&directory).is_ok()
        || history::read_timings(&directory).is_ok()
        || has_checkpoint(&checkpoints);
    if is_ours {
        return Ok(());
    }
    Err(Error::new(format!("`{}` is there already and is no model of this program", names::path(&directory)))
        .because(format!("it holds `{}`, which training would replace", names::path(first)))
        .hint("move it away, give the model another name, or choose another directory with `--set output=DIR`"))
}

fn has_checkpoint(directory: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(directory) else { return false };
    entries.any(|entry| {
        let name = entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).unwrap_or_default();
        let epoch = name.strip_prefix("epoch-").and_then(|rest| rest.strip_suffix(".safetensors"));
        epoch.is_some_and(|epoch| epoch.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_written_over_and_what_is_not_is_refused() {
        let history = "epoch,loss,accuracy,validation_loss,validation_accuracy,learning_rate\n1,1,1,1,1,1\n";
        for (case, entries, refused) in [
            ("nothing", &[][..], false),
            ("notes beside", &[("notes.txt", "x")], false),
            ("a run under way", &[("history.csv", history), ("model.safetensors", "x")], false),
            ("a checkpoint", &[("checkpoint/epoch-0001.safetensors", "x"), ("model.safetensors", "x")], false),
            ("somebody's model", &[("config.json", "{\"model_type\": \"bert\"}"), ("model.safetensors", "x")], true),
            ("somebody's weights", &[("model.safetensors", "x")], true),
            ("somebody's history", &[("history.csv", "date,event\n1914,war\n")], true),
        ] {
            let output = tempfile::tempdir().unwrap();
            for (name, content) in entries {
                let file = output.path().join("models/m").join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, content).unwrap();
            }
            let outcome = claim(output.path(), "m").map_err(|error| error.to_string());
            assert_eq!(outcome.is_err(), refused, "{case}: {outcome:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        for link in ["models", "models/m", "models/m/checkpoint", "models/m/history.csv"] {
            let (output, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::create_dir_all(output.path().join(link).parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), output.path().join(link)).unwrap();
            let error = claim(output.path(), "m").unwrap_err().to_string();
            assert!(error.contains(link) && error.contains("is a link"), "{link}: {error}");
            assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        }
    }
}
