//! Writes the report.

use crate::audit::{self, Audit};
use crate::document::{Document, to_html, to_markdown};
use crate::files::{AUDIT, JUNIT, METRICS, confusion_csv_name};
use crate::format::counted;
use crate::metrics_file::Metrics;
use crate::results::Results;
use crate::samples::{self, Picks, Picture};
use crate::sections::{self, Material};
use preprocess::pipeline::{Pipeline, Split};
use preprocess::stage::atomic_file::{self, write_atomically, write_error};
use preprocess::stage::error::Context;
use preprocess::stage::lock::OutputLock;
use preprocess::stage::names::csv_cell;
use preprocess::stage::owned::{self, Owned};
use preprocess::stage::sealed;
use preprocess::stage::{files, interrupt};
use preprocess::{ErrorKind, Result, note};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The report's directory.
    pub directory: PathBuf,
    /// All numbers.
    pub metrics: Metrics,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Writes the report of a pipeline whose models are trained: `report.md`, `report.html`, `figures/`, the confusion
/// matrices, `audit.csv` where there is evidence, and last `metrics.json`. The same results give the same bytes.
///
/// # Errors
/// Results missing, or of another data set; the disk refuses; another stage is at work on the output directory.
pub fn write(pipeline: &Pipeline, allow_missing: bool) -> Result<Written> {
    let _lock = OutputLock::acquire(&pipeline.output, "report")?;
    let results = Results::load(pipeline, allow_missing)?;
    let (audit, mut notes) = read_audit(&results)?;
    let metrics = Metrics { audit: audit.as_ref().map(|audit| audit.metrics.clone()), ..Metrics::compute(&results) };
    let picks = Picks::choose(&results);
    let wanted = wanted_pictures(&results, picks.as_ref(), audit.as_ref());
    let pictures = read_pictures(&pipeline.shards_dir(), wanted, &mut notes)?;
    let material = Material {
        results: &results,
        metrics: &metrics,
        picks: picks.as_ref(),
        audit: audit.as_ref(),
        pictures: &pictures,
        notes: &notes,
    };
    let document = sections::document(&material);

    let directory = pipeline.report_dir();
    write_files(&pipeline.output, &document, &metrics, audit.as_ref())?;
    notes.splice(..0, results.notes);
    Ok(Written { directory, metrics, notes })
}

/// The audit, where training has left what it needs; a note where that cannot be believed.
fn read_audit(results: &Results) -> Result<(Option<Audit>, Vec<String>)> {
    let (audit, reason) = audit::load(results)?;
    if let Some(reason) = &reason {
        note!("warning: {reason}");
    }
    Ok((audit, reason.into_iter().collect()))
}

/// Paths of all images that the report shows, by split.
fn wanted_pictures<'a>(
    results: &'a Results,
    picks: Option<&Picks>,
    audit: Option<&'a Audit>,
) -> BTreeMap<Split, BTreeSet<&'a str>> {
    let mut wanted: BTreeMap<Split, BTreeSet<&str>> = BTreeMap::new();
    if let Some(picks) = picks {
        wanted.insert(picks.split, picks.paths(results));
    }
    for image in audit.into_iter().flat_map(sections::audited_images) {
        wanted.entry(image.split).or_default().insert(&image.path);
    }
    wanted
}

/// The pictures; without shards (CI may keep only the models) the report does without, and says so.
fn read_pictures(
    shards: &Path,
    wanted: BTreeMap<Split, BTreeSet<&str>>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Picture>> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    match samples::read_pictures(shards, wanted) {
        Ok(pictures) => Ok(pictures),
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
        Err(error) => {
            note!("warning: the report goes without images: {}", error.message());
            notes.push(format!("The images are left out: {}.", error.message()));
            Ok(BTreeMap::new())
        }
    }
}

fn write_files(output: &Path, document: &Document, metrics: &Metrics, audit: Option<&Audit>) -> Result<()> {
    files::make_directories(output, &["report", "figures"])?;
    let directory = output.join("report");
    let contents = contents(document, metrics, audit)?;
    let mut names: BTreeSet<String> = contents.iter().map(|(name, _)| name.clone()).collect();
    // The gate writes the last one.
    names.extend([METRICS.to_owned(), JUNIT.to_owned()]);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    // Without a list of what an earlier report wrote, numbers of this program's format say that the rest is its too.
    let ours = Metrics::read(&directory.join(METRICS)).is_ok();
    let mut owned = Owned::open(&directory, directory.join(owned::FILE_NAME), if ours { &all } else { &[] });
    owned.claim(all)?;
    for (name, contents) in &contents {
        interrupt::check()?;
        write_atomically(&directory.join(name), |writer| writer.write_all(contents))?;
    }
    for swept in [&directory, &directory.join("figures")] {
        atomic_file::sweep_leftovers(swept)?;
    }
    write_json(&directory.join(METRICS), metrics)?;
    names.retain(|name| directory.join(name).is_file());
    owned.settle(&names)
}

/// All files but `metrics.json`, by their names within the report's directory.
fn contents(document: &Document, metrics: &Metrics, audit: Option<&Audit>) -> Result<Vec<(String, Vec<u8>)>> {
    let figures = document.drawings().map(|drawing| (drawing.path(), drawing.figure.to_file().into_bytes()));
    let mut contents: Vec<_> = figures.collect();
    for (name, model) in &metrics.models {
        for (&split, scores) in &model.splits {
            let matrix = confusion_csv(&metrics.dataset.classes, &scores.confusion)?;
            contents.push((confusion_csv_name(name, split), matrix));
        }
    }
    if let Some(audit) = audit {
        contents.push((AUDIT.into(), audit::to_csv(audit)?));
    }
    contents.push(("report.md".into(), to_markdown(document).into_bytes()));
    contents.push(("report.html".into(), to_html(document).into_bytes()));
    Ok(contents)
}

/// Writes JSON that a person can read and compare line by line, sealed with a checksum.
///
/// # Errors
/// The disk refuses.
pub(crate) fn write_json(file: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, ArraysInLine(PrettyFormatter::new()));
    value.serialize(&mut serializer).map_err(|error| write_error(file, error))?;
    let text = String::from_utf8(text).map_err(|error| write_error(file, error))?;
    let sealed =
        sealed::seal(&text).map_err(|error| error.while_doing(format!("cannot write `{}`", file.display())))?;
    write_atomically(file, |writer| writer.write_all(sealed.as_bytes()))
}

/// Objects a key a line, arrays in one line: a confusion matrix of 50 classes has 2,500 numbers.
struct ArraysInLine(PrettyFormatter<'static>);

impl Formatter for ArraysInLine {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// A row a true class, a column a predicted class.
fn confusion_csv(classes: &[String], counts: &[Vec<usize>]) -> Result<Vec<u8>> {
    let context = || format!("cannot lay out a confusion matrix of {}", counted(classes.len(), "class", "classes"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let cells: Vec<String> = classes.iter().map(|class| csv_cell(class).into_owned()).collect();
    writer.write_record(std::iter::once("true class").chain(cells.iter().map(String::as_str))).context(context)?;
    for (class, row) in cells.iter().zip(counts) {
        let counts = row.iter().map(usize::to_string);
        writer.write_record(std::iter::once(class.clone()).chain(counts)).context(context)?;
    }
    writer.into_inner().context(context)
}
