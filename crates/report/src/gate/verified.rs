//! The results behind `metrics.json`. Its numbers are not believed: they are computed again from the predictions, and
//! a file that says something else is refused.

use super::settings::FRESH_HINT;
use crate::metrics_file::Metrics;
use crate::results::Results;
use preprocess::pipeline::Pipeline;
use preprocess::stage::error::Context;
use preprocess::stage::names::shown;
use preprocess::{Error, Result};
use serde_json::Value;

/// What another machine's mathematics library may differ by, relative to the number.
const ROUNDING: f64 = 1e-9;

/// Reads the results that `metrics.json` was made from. With `only`, that model's results are enough.
///
/// # Errors
/// No report; one of other models or older than the predictions; numbers that do not follow from the predictions.
pub fn verified_results(pipeline: &Pipeline, only: Option<&str>) -> Result<Results> {
    let file = pipeline.report_dir().join("metrics.json");
    let metrics = Metrics::read(&file)?;
    let stale =
        |cause: String| Error::new(format!("`{}` is out of date", file.display())).because(cause).hint(FRESH_HINT);
    if metrics.pipeline != pipeline.name {
        let (was, is) = (shown(&metrics.pipeline), &pipeline.name);
        return Err(stale(format!("it is of the pipeline `{was}`, not of `{is}`")));
    }
    if let Some(name) = only.filter(|name| !pipeline.train.models.contains_key(*name)) {
        return Err(no_such_model(name, pipeline));
    }
    let mut needed = pipeline.train.models.keys().filter(|name| only.is_none_or(|only| only == name.as_str()));
    if let Some(name) = needed.find(|name| !metrics.models.contains_key(*name)) {
        return Err(stale(format!("it has no results of the model `{name}`")));
    }
    if let Some(name) = metrics.models.keys().find(|name| !pipeline.train.models.contains_key(*name)) {
        return Err(stale(format!(
            "it has results of a model `{}`, which the pipeline file does not have",
            shown(name)
        )));
    }
    let mut results = Results::load(pipeline, true)?;
    results.models.retain(|model| metrics.models.contains_key(&model.name));
    for model in &results.models {
        for (split, predictions) in &model.predictions {
            let scores = metrics.models.get(&model.name).and_then(|model| model.splits.get(split));
            if scores.is_some_and(|scores| scores.predictions_blake3 != predictions.blake3) {
                return Err(stale(format!(
                    "the model `{}` has other predictions of the {} split now",
                    model.name,
                    split.name()
                )));
            }
        }
    }
    hold_against(&metrics, &Metrics::compute(&results))
        .map_err(|error| error.while_doing(format!("`{}` does not follow from the results", file.display())))?;
    Ok(results)
}

fn no_such_model(name: &str, pipeline: &Pipeline) -> Error {
    let known: Vec<&str> = pipeline.train.models.keys().map(String::as_str).collect();
    Error::new(format!("the pipeline `{}` has no model `{}`", pipeline.name, shown(name)))
        .hint(format!("its models are `{}`", known.join("`, `")))
}

/// The first number that differs. The version of the program may, and the audit, which judges data and not models.
fn hold_against(read: &Metrics, computed: &Metrics) -> Result<()> {
    let value = |metrics: &Metrics| {
        serde_json::to_value(Metrics { version: String::new(), audit: None, ..metrics.clone() })
            .context(|| "cannot compare the numbers".to_owned())
    };
    match difference(&value(read)?, &value(computed)?) {
        None => Ok(()),
        Some((key, read, computed)) => {
            Err(Error::new(format!("its `{}` is {read}; computed again it is {computed}", shown(&key)))
                .hint("it was altered, or written by another version: run `report` again with the same pipeline file"))
        }
    }
}

/// Where two values differ: the path of the key and both values, short.
fn difference(read: &Value, computed: &Value) -> Option<(String, String, String)> {
    let under = |key: String, inner: Option<(String, String, String)>| {
        let (path, read, computed) = inner?;
        let separator = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        Some((format!("{key}{separator}{path}"), read, computed))
    };
    match (read, computed) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().zip(b.values()).find_map(|((key, a), b)| under(key.clone(), difference(a, b)))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| under(format!("[{index}]"), difference(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            let close = (a - b).abs() <= ROUNDING * a.abs().max(b.abs()).max(1.0);
            (!close).then(|| (String::new(), a.to_string(), b.to_string()))
        }
        _ if read == computed => None,
        _ => Some((String::new(), short(read), short(computed))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
