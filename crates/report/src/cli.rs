//! The command line.

use crate::document::text_table;
use crate::gate;
use crate::run;
use crate::sections::{comparison_table, verdict};
use clap::{Parser, Subcommand};
use preprocess::pipeline::args::PipelineArgs;
use preprocess::stage::program;
use preprocess::{Result, say};
use std::process::ExitCode;

/// Turns predictions into tables, figures and a gate.
///
/// Without a command: writes report.md, report.html, metrics.json and figures below `<output>/report`.
#[derive(Parser)]
#[command(name = "report", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Report on the models that are trained already, instead of refusing
    #[arg(long)]
    allow_missing: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Compares the results with the committed baseline; exit code 1 if a model got worse and by more than its
    /// tolerance
    Check {
        #[command(flatten)]
        pipeline: PipelineArgs,
    },
    /// Makes the results behind metrics.json the new baseline
    Accept {
        #[command(flatten)]
        pipeline: PipelineArgs,
        /// Accept this model alone; the others stay in the baseline as they are
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
}

/// Runs the stage and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    let arguments = Cli::parse();
    program::run("report", || match &arguments.command {
        None => write(&arguments),
        Some(Command::Check { pipeline }) => gate::check(&pipeline.load()?),
        Some(Command::Accept { pipeline, model }) => gate::accept(&pipeline.load()?, model.as_deref()),
    })
}

fn write(arguments: &Cli) -> Result<()> {
    let written = run::write(&arguments.pipeline.load()?, arguments.allow_missing)?;
    say!("{}", text_table(&comparison_table(&written.metrics)));
    for comparison in &written.metrics.comparisons {
        let (split, first, second) = (comparison.split.name(), &comparison.first, &comparison.second);
        say!("{split}: {first} against {second}: {}", verdict(comparison));
    }
    if let Some(audit) = &written.metrics.audit {
        let findings: Vec<String> = audit.findings.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
        say!("audit: {}; `audit.csv` lists them", findings.join(", "));
    }
    for note in &written.notes {
        say!("note: {note}");
    }
    say!("report: {}", written.directory.join("report.html").display());
    Ok(())
}
