//! Reads the evidence of a pipeline, and believes it only of the very images that the results are of.

use super::Audit;
use crate::results::Results;
use preprocess::corrections::{Action, Corrections};
use preprocess::pipeline::{Pipeline, Split};
use preprocess::stage::names::shown;
use preprocess::{Error, ErrorKind, Result};
use std::collections::{BTreeSet, HashMap};
use train::audit::evidence::{AUDIT_DIRECTORY, AUDIT_FILE, Evidence, ImageEvidence};
use train::model::margins::{self, MARGINS_FILE};

/// The audit of the results, or none where training has left no evidence, or none that could be believed; then why,
/// and what to do.
///
/// # Errors
/// The silenced paths cannot be read, or an interruption.
pub fn load(results: &Results) -> Result<(Option<Audit>, Option<String>)> {
    let output = &results.pipeline.output;
    if !output.join(AUDIT_DIRECTORY).join(AUDIT_FILE).exists() {
        return Ok((None, None));
    }
    let silenced = silenced(&results.pipeline)?;
    let evidence = Evidence::read(output).and_then(|evidence| check(&evidence, results).map(|()| evidence));
    match evidence {
        Ok(evidence) => {
            let margins = training_margins(&evidence, results)?;
            Ok((Some(Audit::of(evidence, results, &silenced, margins.as_deref())), None))
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
        Err(error) => {
            let what = error.message();
            Ok((None, Some(format!("The audit is left out: {what}. `train` makes it anew."))))
        }
    }
}

/// Paths of images that a person has looked at and wants kept as they are (`keep` in the list of corrections): no finding
/// is listed of them.
///
/// # Errors
/// The list of corrections that the pipeline names cannot be read.
pub fn silenced(pipeline: &Pipeline) -> Result<BTreeSet<String>> {
    let Some(file) = &pipeline.preprocess.corrections else { return Ok(BTreeSet::new()) };
    let corrections = Corrections::read(file)?;
    let kept = corrections.iter().filter(|(_, action)| **action == Action::Keep);
    Ok(kept.map(|(path, _)| path.to_owned()).collect())
}

/// Of each image the mean over the models of the margin that it had while they were trained, NaN where it was in no
/// training split or was never seen unmixed; none at all where no model has been trained step by step.
fn training_margins(evidence: &Evidence, results: &Results) -> Result<Option<Vec<f64>>> {
    let mut sums: HashMap<&str, (f64, usize)> = HashMap::new();
    let rows: HashMap<&str, ()> = evidence.images.iter().map(|image| (image.path.as_str(), ())).collect();
    for model in &results.models {
        let directory = results.pipeline.model_dir(&model.name);
        // A model of an earlier version has none.
        if model.config.verify(&directory, MARGINS_FILE).is_err() {
            continue;
        }
        for (path, margin) in margins::read(&directory)? {
            if let Some((&path, ())) = rows.get_key_value(path.as_str()) {
                let (sum, count) = sums.entry(path).or_default();
                (*sum, *count) = (*sum + f64::from(margin), *count + 1);
            }
        }
    }
    let of = |image: &ImageEvidence| sums.get(image.path.as_str()).map_or(f64::NAN, |(sum, count)| sum / *count as f64);
    Ok((!sums.is_empty()).then(|| evidence.images.iter().map(of).collect()))
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
