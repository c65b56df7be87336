//! Which inputs, settings and versions made this report.

use super::material::Material;
use crate::document::{Block, Cell, Column, Section, Table};
use crate::format::counted;
use crate::results::ModelResults;
use preprocess::pipeline::{ClassWeights, Copies, CopyOrder, ModelSettings, OptimizerChoice, Sampler, Schedule};

pub(super) fn section(material: &Material) -> Section {
    let (results, metrics) = (material.results, material.metrics);
    let mut facts = Table::new(["What", "Value"]);
    facts.row(["Pipeline", &metrics.pipeline]);
    facts.row(["Version of report", &metrics.version]);
    facts.row(["Version of preprocess", &results.manifest.version]);
    facts.row(["Data set's fingerprint (BLAKE3)", &results.manifest.fingerprint]);
    facts.row(["Source of the images", &results.manifest.settings.source.display().to_string()]);
    for model in &results.models {
        for (split, predictions) in &model.predictions {
            facts.row([
                format!("{}: predictions of the {} split (BLAKE3)", model.name, split.name()),
                predictions.blake3.clone(),
            ]);
        }
    }
    Section {
        id: "provenance",
        title: "Provenance".into(),
        blocks: vec![
            Block::Table(settings_table(&results.models, results.manifest.settings.augment.copies)),
            Block::Table(facts),
            Block::Paragraph("All numbers of this report are in metrics.json, for programs.".into()),
            Block::File { path: "metrics.json".into(), label: "metrics.json".into() },
        ],
    }
}

/// What each model was trained with.
fn settings_table(models: &[ModelResults], of_images: Copies) -> Table {
    let mut table = Table::new(["Setting"]);
    table.columns.extend(models.iter().map(|model| Column::text(&model.name)));
    let mut row = |name: &str, value: &dyn Fn(&ModelResults) -> String| {
        table.rows.push(
            std::iter::once(Cell::from(name)).chain(models.iter().map(|model| Cell::from(value(model)))).collect(),
        );
    };
    row("Architecture", &|model| model.config.architecture.name().into());
    row("Trained on augmented copies", &|model| copies(&model.config.settings, of_images).into());
    row("Most epochs", &|model| model.config.settings.epochs.to_string());
    row("Early stopping", &|model| match model.config.settings.early_stopping {
        Some(stopping) => format!("after {} epochs without a better validation loss", stopping.patience),
        None => "off".into(),
    });
    row("Optimiser", &|model| optimizer(&model.config.settings));
    row("Learning rate", &|model| learning_rate(&model.config.settings));
    row("Regularisation", &|model| regularisation(&model.config.settings));
    row("Rare classes", &|model| rare_classes(&model.config.settings));
    row("Mixed images", &|model| mixed_images(&model.config.settings));
    row("Predictions of", &|model| match model.config.settings.test_flip {
        true => "each image and its mirror image, in the mean".into(),
        false => "each image".into(),
    });
    row("Weights", &|model| match model.config.settings.ema_decay {
        0.0 => "as trained".into(),
        decay => format!("moving average, decay {decay}"),
    });
    row("Batch size", &|model| counted(model.config.run.batch_size, "image", "images"));
    row("Seed", &|model| model.config.run.seed.to_string());
    row("Version of train", &|model| model.config.run.version.clone());
    table
}

fn copies(settings: &ModelSettings, of_images: Copies) -> &'static str {
    match (settings.augmented, settings.copies) {
        (false, _) => "no",
        (true, _) if of_images == Copies::Fly => "yes, new ones in every epoch",
        (true, CopyOrder::Cycle) => "yes",
        (true, CopyOrder::Mixed) => "yes, mixed with the images themselves",
    }
}

fn learning_rate(settings: &ModelSettings) -> String {
    let schedule = match settings.schedule {
        Schedule::Constant => "",
        Schedule::Cosine => ", falling to 0 along a cosine",
    };
    let restarts = settings.restarts.map_or_else(String::new, |restarts| {
        format!(" that begins anew after {}, then {} times as many", restarts.epochs, restarts.factor)
    });
    let warmup = match settings.warmup_epochs {
        0.0 => String::new(),
        epochs => format!(", warm-up over {epochs} of the epochs"),
    };
    format!("{}{schedule}{restarts}{warmup}", settings.learning_rate)
}

fn regularisation(settings: &ModelSettings) -> String {
    let parts = [("weight decay", settings.weight_decay), ("label smoothing", settings.label_smoothing)];
    let used: Vec<String> =
        parts.iter().filter(|(_, value)| *value > 0.0).map(|(name, value)| format!("{name} {value}")).collect();
    if used.is_empty() { "none".into() } else { used.join(", ") }
}

fn optimizer(settings: &ModelSettings) -> String {
    let name = match settings.optimizer {
        OptimizerChoice::Adam => "Adam".to_owned(),
        OptimizerChoice::Sgd => format!("SGD, Nesterov momentum {}", settings.momentum),
    };
    match settings.clip_norm {
        0.0 => name,
        most => format!("{name}, gradients clipped to a norm of {most}"),
    }
}

fn rare_classes(settings: &ModelSettings) -> String {
    let adjustment = settings.logit_adjustment;
    match &settings.class_weights {
        Some(ClassWeights::Balanced) => "weighted by 1 / images".into(),
        Some(ClassWeights::Effective) => "weighted by 1 / effective number of images".into(),
        Some(ClassWeights::Given(weights)) => {
            let weights = weights.iter().map(|(class, weight)| format!("{class} {weight}"));
            format!("weights of {}", weights.collect::<Vec<_>>().join(", "))
        }
        None if settings.sampler == Sampler::Balanced => "shown as often as the others".into(),
        None if adjustment > 0.0 => format!("logits adjusted, τ {adjustment}"),
        None => "as they are".into(),
    }
}

fn mixed_images(settings: &ModelSettings) -> String {
    let parts = [
        settings.mixup.map(|mix| format!("mixup {} of the images, alpha {}", mix.probability, mix.alpha)),
        settings.cutmix.map(|mix| format!("CutMix {}, alpha {}", mix.probability, mix.alpha)),
        settings.random_erasing.map(|erasing| format!("erased rectangles in {}", erasing.probability)),
    ];
    let used: Vec<String> = parts.into_iter().flatten().collect();
    if used.is_empty() { "none".into() } else { used.join(", ") }
}
