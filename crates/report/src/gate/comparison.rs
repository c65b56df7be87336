//! The present models against the baseline's, on the images that both have.

use super::baseline::{Baseline, Present, Scores};
use super::decision::{Decision, Limits, Verdict, decide};
use super::pairing::{Pairing, pair};
use super::record::Record;
use crate::format::{count, counted};
use preprocess::pipeline::GateSettings;
use preprocess::stage::names::shown;
use preprocess::{Error, Result};

/// Everything that one run of the gate found.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The models that both have, in the order of the pipeline file.
    pub models: Vec<ModelComparison>,
    /// Models that the baseline does not have.
    pub new_models: Vec<String>,
}

/// One model against its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelComparison {
    /// The model's name.
    pub name: String,
    /// Class names, as they are now.
    pub classes: Vec<String>,
    /// What the images say.
    pub decision: Decision,
    /// Macro F1 on the shared images, before and now.
    pub macro_f1: [f64; 2],
    /// Which images were compared.
    pub images: Images,
}

/// Which images were compared and which not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Images that both have.
    pub shared: usize,
    /// In so many groups.
    pub groups: usize,
    /// Images that are new.
    pub new: usize,
    /// Images of the baseline that are gone.
    pub gone: usize,
    /// Images that have another class now.
    pub relabelled: usize,
    /// Classes that have another name now.
    pub renamed: Vec<(String, String)>,
}

impl Comparison {
    /// The worst verdict of any model; undecidable where nothing was compared.
    pub fn verdict(&self) -> Verdict {
        self.models.iter().map(|model| model.decision.verdict()).max().unwrap_or(Verdict::Undecidable)
    }

    /// What should be said beside the table, a sentence each: of which images and models nothing is known.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for model in &self.models {
            let same = self.models.iter().all(|other| other.images == model.images);
            let of = if same { String::new() } else { format!(" (model {})", model.name) };
            for note in model.images.notes() {
                let note = format!("{note}{of}");
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
            if model.decision.unguarded_classes > 0 {
                notes.push(format!(
                    "{}: {} too few right test images for a collapse to be told from chance",
                    model.name,
                    match model.decision.unguarded_classes {
                        1 => "1 class has".to_owned(),
                        number => format!("{} of {} classes have", count(number), count(model.decision.classes.len())),
                    }
                ));
            }
        }
        for name in &self.new_models {
            notes.push(format!(
                "the model {name} is not in the baseline and was not compared; `report accept --model {name}` adds it"
            ));
        }
        notes
    }
}

impl Images {
    fn of(pairing: &Pairing, groups: usize) -> Self {
        Self {
            shared: pairing.pairs.len(),
            groups,
            new: pairing.new,
            gone: pairing.gone,
            relabelled: pairing.relabelled,
            renamed: pairing.renamed.clone(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (number, one, many) in [
            (self.new, "test image is new and was", "test images are new and were"),
            (self.gone, "image of the baseline is gone and was", "images of the baseline are gone and were"),
            (self.relabelled, "image has another class now and was", "images have another class now and were"),
        ] {
            if number > 0 {
                notes.push(format!("{} not compared", counted(number, one, many)));
            }
        }
        for (before, now) in &self.renamed {
            notes.push(format!("the class {} is called {} now", shown(before), shown(now)));
        }
        notes
    }
}

/// Compares every model that both have.
///
/// # Errors
/// A model of the baseline is missing; no model is in both; too few images are.
pub fn compare(baseline: &Baseline, now: &Present, gate: &GateSettings) -> Result<Comparison> {
    if let Some(name) = baseline.models.keys().find(|name| !now.models.contains_key(*name)) {
        return Err(Error::new(format!("the model `{}` of the baseline is missing from the results", shown(name)))
            .hint(
                "train and report on it; or, if it was removed on purpose, run `report accept` and commit the baseline",
            ));
    }
    let limits = Limits {
        accuracy: gate.tolerance,
        class: gate.class_tolerance,
        loss: gate.loss_tolerance,
        models: baseline.models.len(),
    };
    let mut comparison = Comparison { models: Vec::new(), new_models: Vec::new() };
    for (name, answers) in &now.models {
        match baseline.models.get(name) {
            Some(before) => {
                let pairing = pair(before, &baseline.classes, answers, &now.classes);
                check_enough(name, &pairing, before.len(), gate)?;
                comparison.models.push(model(name, baseline, now, &pairing, &limits));
            }
            None => comparison.new_models.push(name.clone()),
        }
    }
    if comparison.models.is_empty() {
        return Err(Error::new("the baseline has no model, so that nothing can be compared")
            .hint("run `report accept` with the same pipeline file and commit the baseline"));
    }
    Ok(comparison)
}

fn model(name: &str, baseline: &Baseline, now: &Present, pairing: &Pairing, limits: &Limits) -> ModelComparison {
    let decision = decide(&pairing.pairs, limits);
    let (before, present): (Vec<Record>, Vec<Record>) = pairing.records.iter().copied().unzip();
    ModelComparison {
        name: name.to_owned(),
        classes: now.classes.clone(),
        macro_f1: [
            Scores::of(&before, baseline.classes.len()).macro_f1,
            Scores::of(&present, now.classes.len()).macro_f1,
        ],
        images: Images::of(pairing, decision.groups),
        decision,
    }
}

/// Refuses to judge a model by the few images that happen to be left.
fn check_enough(name: &str, pairing: &Pairing, before: usize, gate: &GateSettings) -> Result<()> {
    let (shared, least) = (pairing.pairs.len(), gate.minimum_images.unwrap_or(before.div_ceil(2)).max(1));
    if shared >= least {
        return Ok(());
    }
    let mut error = Error::new(format!(
        "the model `{}` shares {} with the baseline; {} are needed",
        shown(name),
        counted(shared, "test image", "test images"),
        count(least)
    ));
    for note in Images::of(pairing, 0).notes() {
        error = error.because(note);
    }
    Err(error.hint(match gate.minimum_images {
        Some(_) => {
            "run `report accept` with the same pipeline file and commit the baseline, or lower \
             `report.gate.minimum_images`"
        }
        None => {
            "by default half of the baseline's images must still be there: run `report accept` with the same pipeline \
             file and commit the baseline; `preprocess.split.keep` keeps images in their split"
        }
    }))
}
