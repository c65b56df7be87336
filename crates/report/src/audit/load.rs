//! Reads the evidence of a pipeline, and believes it only of the very images that the results are of.

use super::Audit;
use crate::results::Results;
use preprocess::pipeline::{Pipeline, Split};
use preprocess::stage::names::shown;
use preprocess::{Error, ErrorKind, Result};
use std::collections::{BTreeSet, HashMap};
use train::audit::evidence::{AUDIT_DIRECTORY, Evidence, ImageEvidence};

/// The audit of the results, or none where training has left no evidence, or none that could be believed; then why,
/// and what to do.
///
/// # Errors
/// The silenced paths cannot be read, or an interruption.
pub fn load(results: &Results) -> Result<(Option<Audit>, Option<String>)> {
    let output = &results.pipeline.output;
    if !output.join(AUDIT_DIRECTORY).exists() {
        return Ok((None, None));
    }
    let silenced = silenced(&results.pipeline)?;
    let evidence = Evidence::read(output).and_then(|evidence| check(&evidence, results).map(|()| evidence));
    match evidence {
        Ok(evidence) => Ok((Some(Audit::of(evidence, results, &silenced)), None)),
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
        Err(error) => {
            let what = error.message();
            Ok((None, Some(format!("The audit is left out: {what}. `train` makes it anew."))))
        }
    }
}

/// Paths of images that a person has looked at and wants kept as they are: no finding is listed of them.
///
/// # Errors
/// None yet: no pipeline names any.
pub fn silenced(_pipeline: &Pipeline) -> Result<BTreeSet<String>> {
    Ok(BTreeSet::new())
}

/// The evidence is of this data set, and of all images that the models were measured on.
fn check(evidence: &Evidence, results: &Results) -> Result<()> {
    let manifest = &results.manifest;
    if evidence.record.dataset_fingerprint != manifest.fingerprint {
        return Err(Error::new("it is of an earlier version of the data set"));
    }
    if evidence.record.classes != manifest.classes {
        return Err(Error::new("its classes are not those of the data set"));
    }
    for split in Split::ALL {
        let mut counts = vec![0usize; manifest.classes.len()];
        evidence.images.iter().filter(|image| image.split == split).for_each(|image| counts[image.label] += 1);
        let expected = manifest.counts.get(&split);
        if expected.map_or(counts.iter().any(|&images| images > 0), |expected| *expected != counts) {
            return Err(Error::new(format!("its images are not those of the {} split", split.name())));
        }
    }
    let images: HashMap<&str, &ImageEvidence> =
        evidence.images.iter().map(|image| (image.path.as_str(), image)).collect();
    if images.len() != evidence.images.len() {
        return Err(Error::new("it holds an image twice"));
    }
    let measured = results.models.iter().flat_map(|model| &model.predictions);
    for (split, row) in measured.flat_map(|(split, predictions)| predictions.rows.iter().map(move |row| (split, row))) {
        let is_known = images.get(row.path.as_str()).is_some_and(|image| {
            (image.split, image.label, image.content.as_str()) == (*split, row.label, row.content.as_str())
        });
        if !is_known {
            return Err(Error::new(format!("it does not know the {} image `{}`", split.name(), shown(&row.path))));
        }
    }
    Ok(())
}
