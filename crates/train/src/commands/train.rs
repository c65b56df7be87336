//! `train`: every model of the pipeline file, one after another.

use crate::audit;
use crate::commands::console::Console;
use crate::data::shards::{Data, TrainingData};
use crate::model::directory::{self, Config, FORMAT, PREPROCESSOR_FILE, RunRecord, WEIGHTS_FILE};
use crate::model::history::{self, HISTORY_FILE};
use crate::model::inference::Inference;
use crate::model::margins::{self, MARGINS_FILE, MarginRow};
use crate::model::predictions::predictions_file;
use crate::model::score::Score;
use crate::network::summary::ParameterCounts;
use crate::ops::Backend;
use crate::training::early_stopping::{Stop, is_followed_to_its_end};
use crate::training::features;
use crate::training::fit::fit;
use crate::training::fitted::Fitted;
use crate::training::ownership;
use crate::training::plan::{self, ModelPlan};
use crate::training::succession::Succession;
use crate::training::tuning::{self, fit_head, kept_features};
use indexmap::IndexMap;
use preprocess::dataset::Rows;
use preprocess::pipeline::{Pipeline, Split, Tune};
use preprocess::stage::lock::OutputLock;
use preprocess::{Result, say};
use std::path::Path;

/// Trains the models named, or all of them if none is.
///
/// # Errors
/// What stands in the way of training, found before any model is trained where it can be; or what stops it.
pub(crate) fn run<B: Backend>(pipeline: &Pipeline, names: &[String], device: &B) -> Result<()> {
    for name in names {
        plan::find(pipeline, name)?;
    }
    let _lock = OutputLock::acquire(&pipeline.output, "train")?;
    let data = TrainingData::open(pipeline)?;
    let plans = plan::plan(pipeline, names, &data)?;
    if pipeline.train.audit {
        // Not after hours of training.
        audit::claim(&pipeline.output)?;
    }
    for plan in &plans {
        ownership::claim(&pipeline.output, &plan.name)?;
        // An image size that the last model cannot take should not come out after hours of training the first.
        plan.check()?;
    }
    for plan in &plans {
        train(plan, &data, device)?;
    }
    if pipeline.train.audit {
        audit_of(pipeline, names, &plans, &data, device)?;
    }
    if !names.is_empty() {
        // Of the models that were not asked for it is not known which caches they use.
        return Ok(());
    }
    let used = plans.iter().filter(|plan| plan.pretrained.is_some());
    let used: Vec<String> = used.map(|plan| Ok(tuning::cache(plan)?.name().to_owned())).collect::<Result<_>>()?;
    features::sweep(&pipeline.output, &used)
}

/// The audit is of the data set and not of a model, so it is the same whichever models were named.
fn audit_of<B: Backend>(
    pipeline: &Pipeline,
    names: &[String],
    plans: &[ModelPlan],
    data: &TrainingData,
    device: &B,
) -> Result<()> {
    let gathered = if names.is_empty() {
        audit::run(pipeline, plans, data, device)
    } else {
        audit::run(pipeline, &plan::plan(pipeline, &[], data)?, data, device)
    };
    gathered.map_err(|error| error.while_doing("the audit of the data set failed; the models are finished"))
}

fn train<B: Backend>(plan: &ModelPlan, data: &TrainingData, device: &B) -> Result<()> {
    let succession = Succession::of(&plan.directory);
    succession.recover()?;
    if is_up_to_date(plan, &plan.directory)? {
        succession.tidy()?;
        say!("{}: up to date in `{}`", plan.name, plan.directory.display());
        return Ok(());
    }
    // A run may have been killed between its last file and taking its place.
    if !is_up_to_date(plan, succession.next())? {
        let growing = succession.begin()?;
        let grown = ModelPlan { directory: growing.to_owned(), ..plan.clone() };
        let listener = &mut Console::new(&plan.name);
        let fitted = match (&plan.pretrained, plan.settings.tuned()) {
            (Some(_), Tune::Head) => fit_head(&grown, data, device, listener)?,
            _ => fit(&grown, succession.other_than(growing), data, device, listener)?,
        };
        publish(&grown, data, fitted)?;
    }
    succession.take_place()?;
    say!("  model in `{}`", plan.directory.display());
    Ok(())
}

/// Whether the directory holds a finished model of the same data, settings and version, every file as it was written.
fn is_up_to_date(plan: &ModelPlan, directory: &Path) -> Result<bool> {
    let Ok(config) = Config::read(directory) else { return Ok(false) };
    Ok(config.run.fingerprint == plan.fingerprint()?
        && config.settings == plan.settings
        && published_files().iter().all(|name| config.verify(directory, name).is_ok())
        && history::read_timings(directory).is_ok_and(|timings| timings.len() == config.run.epochs))
}

/// Writes the model's directory, its `config.json` last.
fn publish<B: Backend>(plan: &ModelPlan, data: &TrainingData, fitted: Fitted<B>) -> Result<()> {
    let directory = &plan.directory;
    directory::write_weights(directory, &fitted.model.weights())?;
    history::write_scores(directory, &fitted.scores)?;
    history::write_timings(directory, &fitted.timings)?;
    margins::write(directory, &margin_rows(&fitted, data.train(0)?.as_ref()))?;
    let mut inference = Inference::of(&fitted.model)?.with_flips(plan.settings.test_flip);
    let splits = [(Split::Validation, data.validation()), (Split::Test, data.test())];
    let mut scores = Vec::new();
    for (split, rows) in splits {
        let (predictions, score) = match kept_features(plan, split, rows, &mut inference)? {
            Some(features) => inference.predict_features(rows, &features.values, &plan.classes)?,
            None => inference.predict(rows, plan.batch_size, &plan.classes)?,
        };
        predictions.write(&predictions_file(directory, split))?;
        scores.push((split, score));
    }
    let config = config(plan, &fitted)?;
    config.write(directory, &published_files())?;
    print_outcome(plan, &fitted, &scores);
    Ok(())
}

fn margin_rows<B: Backend>(fitted: &Fitted<B>, images: &Rows) -> Vec<MarginRow> {
    let rows = fitted.margins.means().enumerate().filter_map(|(row, mean)| {
        let (margin, epochs) = mean?;
        Some(MarginRow { path: images.source(row).to_owned(), margin, epochs })
    });
    rows.collect()
}

/// The names of the files that `config.json` vouches for: all but the timings, which no two runs share, so that two
/// runs of the same inputs write the same `config.json`.
fn published_files() -> Vec<String> {
    let predictions = [Split::Validation, Split::Test].map(|split| predictions_file(Path::new(""), split));
    let predictions = predictions.iter().map(|file| file.display().to_string());
    [WEIGHTS_FILE, PREPROCESSOR_FILE, HISTORY_FILE, MARGINS_FILE]
        .map(str::to_owned)
        .into_iter()
        .chain(predictions)
        .collect()
}

fn config<B: Backend>(plan: &ModelPlan, fitted: &Fitted<B>) -> Result<Config> {
    let counts = ParameterCounts::of(fitted.model.network.graph());
    Ok(Config {
        format: FORMAT,
        architecture: plan.settings.architecture,
        num_classes: plan.classes.len(),
        num_features: fitted.model.network.graph().features(),
        label_names: plan.classes.clone(),
        image: plan.image.clone(),
        trainable_parameters: counts.trainable,
        non_trainable_parameters: counts.non_trainable,
        best_epoch: fitted.best_epoch,
        settings: plan.settings.clone(),
        pretrained: plan.pretrained.as_ref().map(|weights| weights.record.clone()),
        dataset_fingerprint: plan.dataset_fingerprint.clone(),
        run: RunRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: plan.seed,
            batch_size: plan.batch_size,
            epochs: fitted.scores.len(),
            fingerprint: plan.fingerprint()?,
            files: IndexMap::new(),
        },
    })
}

fn print_outcome<B: Backend>(plan: &ModelPlan, fitted: &Fitted<B>, scores: &[(Split, Score)]) {
    let why = match fitted.stop {
        Stop::AllEpochs => String::new(),
        Stop::Converged => ", at which the head has converged".to_owned(),
        Stop::NoImprovement(patience) => format!(", stopped after {patience} epochs without a better validation loss"),
    };
    let best = fitted.best_epoch;
    let choice = if is_followed_to_its_end(&plan.settings) && fitted.stop != Stop::Converged {
        format!("epoch {best}, the last of the schedule")
    } else if scores.iter().any(|(split, score)| *split == Split::Validation && score.images > 0) {
        format!("best epoch {best} of {}{why}", fitted.scores.len())
    } else {
        format!("last epoch {best}: there is no validation split to choose by")
    };
    say!("{}: {choice}", plan.name);
    for (split, score) in scores.iter().filter(|(_, score)| score.images > 0) {
        let (accuracy, loss) = (100.0 * score.accuracy(), score.loss());
        say!("  {:10}  accuracy {accuracy:.2} %  loss {loss:.4}  ({} images)", split.name(), score.images);
    }
}
