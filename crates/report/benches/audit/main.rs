//! `make bench-audit`: whether the audit finds what is wrong. Labels are changed and copies made from seeds, the three
//! programs run, and what they say is held against what was done; beside it cleanlab, where Python has it, on the same
//! probabilities.
//!
//! `TRASHNET=DIR` and `SIMPSONS=DIR` hold class directories (data/trashnet and data/simpsons unless given), `WEIGHTS` is what
//! makes the features; `ONLY='trashnet copies'` runs some sections, `SEEDS='1 2 3'` says which seeds, `PEERS_PYTHON` which
//! Python. Everything lies below `runs/bench-audit`; what is finished there is not done again.

// The modules of the other benchmarks have more than this one needs.
#[path = "../shared/mod.rs"]
mod shared;

mod copies;
mod flips;
mod peer;
mod programs;
mod ranking;

use flips::Kind;
use preprocess::Result;
use preprocess::stage::error::Context;
use programs::Run;
use shared::machine;
use shared::sections::Sections;
use shared::table::Table;
use std::path::PathBuf;
use std::process::ExitCode;

/// Images of which labels are changed.
struct Set {
    name: &'static str,
    /// Variable of the environment that names the directory, and the directory where there is none.
    images: (&'static str, &'static str),
    /// Width and height that the images are brought to, in pixels.
    side: usize,
    /// Pairs of classes that people take for each other.
    look_alike: &'static [[&'static str; 2]],
}

const SETS: [Set; 3] = [
    Set {
        name: "trashnet",
        images: ("TRASHNET", "data/trashnet"),
        side: 224,
        look_alike: &[["glass", "plastic"], ["paper", "cardboard"]],
    },
    Set {
        name: "fashion-mnist",
        images: ("FASHION_MNIST", "data/fashion-mnist"),
        side: 96,
        look_alike: &[["shirt", "t-shirt"], ["pullover", "coat"]],
    },
    Set {
        name: "simpsons",
        images: ("SIMPSONS", "data/simpsons"),
        side: 128,
        look_alike: &[
            ["bart_simpson", "lisa_simpson"],
            ["homer_simpson", "abraham_grampa_simpson"],
            ["comic_book_guy", "nelson_muntz"],
        ],
    },
];

const COPIES: &str = "copies";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::set_current_dir(&root).context(|| format!("cannot enter `{}`", root.display()))?;
    let [first, second, third] = SETS.map(|set| set.name);
    let sections = Sections::from_environment(&[first, second, third, COPIES])?;
    let seeds = programs::seeds()?;
    let mut table = Table::new(&[
        "labels changed",
        ">seed",
        ">images",
        ">changed",
        ">average precision",
        ">right of the first 50",
        ">cleanlab, self-confidence",
        ">right of 50",
        ">cleanlab, normalised margin",
        ">right of 50",
    ]);
    for set in SETS.iter().filter(|set| sections.want(set.name)) {
        for kind in [Kind::Random, Kind::LookAlike] {
            for &seed in &seeds {
                table.row(row(set, kind, seed)?);
            }
        }
    }
    if !table.is_empty() {
        println!("\n5 % of the labels changed:\n");
        table.print();
    }
    if sections.want(COPIES) {
        copies::print_table(&seeds)?;
    }
    println!("\n{}.", machine::describe());
    Ok(())
}

/// One set, of which labels were changed.
fn row(set: &Set, kind: Kind, seed: u64) -> Result<Vec<String>> {
    let source = programs::given(set.images.0, set.images.1);
    let run = Run::new(&format!("{}-{}-{seed}", set.name, kind.name()), source.as_ref(), set.side, seed)?;
    let changed = flips::plant(&run, kind, set.look_alike, seed)?;
    run.make(&["preprocess", "train"])?;
    let evidence = run.evidence()?;
    let ours = ranking::score(&evidence, &changed);
    let mut row = vec![
        format!("{}, {}", set.name, kind.name()),
        seed.to_string(),
        evidence.images.len().to_string(),
        changed.len().to_string(),
    ];
    row.extend(ours.cells());
    match peer::scores(&evidence, &changed, &run.output)? {
        Some(scores) => row.extend(scores.iter().flat_map(ranking::Score::cells)),
        None => row.extend(["–"; 4].map(str::to_owned)),
    }
    Ok(row)
}
