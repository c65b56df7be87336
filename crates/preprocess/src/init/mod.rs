//! `preprocess init`: a look at a folder of images, and a pipeline file that fits it.
//!
//! [`look`] counts, measures and decodes; [`weights`] tells of which architecture pretrained weights are; [`write`]
//! puts the file together, with a comment for each choice.

mod look;
mod quote;
mod weights;
mod write;

use crate::pipeline::Pipeline;
use crate::{Error, Result, note, say};
use look::Look;
use std::path::Path;
use weights::Weights;

/// Bytes of a name that becomes a directory.
const NAME_LENGTH: usize = 60;

/// Prints a pipeline file for the images of `source`; what a person should know besides goes to stderr.
///
/// # Errors
/// No folder that a classifier can be trained on; weights whose architecture cannot be told; a name that cannot be one
/// of a directory.
pub fn run(source: &Path, pretrained: Option<&str>, name: Option<&str>) -> Result<()> {
    let text_of = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Error::new(format!("the path `{}` is not UTF-8 text, so no pipeline file can hold it", path.display()))
                .hint("rename the directory, or name it by a link")
        })
    };
    let source_text = text_of(source)?;
    let weights = pretrained.map(Weights::told_by).transpose()?;
    let look = Look::at(source)?;
    let name = name.map_or_else(|| name_of(source), str::to_owned);
    let text = write::pipeline_file(&name, &source_text, &look, weights.as_ref());
    // What is written must be what `--pipeline` takes.
    Pipeline::of_text(&text, Path::new("the pipeline file"), &[])?;
    look.announce();
    say!("{}", text.trim_end());
    note!("next: save this as `pipelines/{name}.yaml`, then `make pipeline PIPELINE=pipelines/{name}.yaml`");
    Ok(())
}

/// The folder's name, as far as it can be the name of a pipeline.
fn name_of(source: &Path) -> String {
    let real = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    // As given: a link has the name that its owner gave it.
    let name = source.file_name().or(real.file_name()).map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let kept: String = name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let mut name = kept.trim_matches(['-', '.']).to_owned();
    while name.len() > NAME_LENGTH {
        name.pop();
    }
    if name.is_empty() { "photos".to_owned() } else { name }
}
