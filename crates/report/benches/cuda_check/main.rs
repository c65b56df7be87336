//! `make cuda-check`: all that can only be checked where there is an NVIDIA GPU, in one go, with a table of verdicts
//! at the end.
//!
//! A step that fails does not keep the others from running. Exit codes: 0 all well; 1 something failed or missed its
//! goal; 2 there is no GPU; make turns the last two into its own. `PEERS_PYTHON` is a Python whose torch finds the
//! GPU, `IMAGES=DIR` class directories of photographs for a whole run of `pipelines/simpsons.yaml`; without them these
//! steps are not run. `ONLY='parity pytorch'` runs some of the steps.
//!
//! `CUDA_CHECK_ON=emulator` tests the check itself, on the emulated driver and with tiny data: its figures mean
//! nothing, and steps that make no sense there say so.

// The modules of the other benchmarks have more than this one needs.
#[path = "../peers/contest.rs"]
#[allow(dead_code)]
mod contest;
#[path = "../peers/gpu.rs"]
#[allow(dead_code)]
mod networks;
#[path = "../peers/peer.rs"]
#[allow(dead_code)]
mod peer;
#[path = "../shared/mod.rs"]
mod shared;

mod beside_pytorch;
mod command;
mod findings;
mod headline;
mod speed;
mod tests;
mod training;

use findings::Findings;
use preprocess::{Error, Result};
use shared::gpu::Gpu;
use shared::machine;
use shared::sections::Sections;
use std::path::PathBuf;
use std::process::ExitCode;

/// What every step needs.
pub struct Setup {
    gpu: Gpu,
    /// The repository's.
    root: PathBuf,
    /// Where each command's output goes.
    logs: PathBuf,
}

type Step = fn(&Setup, &mut Findings) -> Result<()>;

/// Each with the name that `ONLY` has for it, and for people.
const STEPS: [(&str, &str, Step); 7] = [
    ("parity", "parity tests", tests::parity),
    ("sanitizer", "compute-sanitizer", tests::sanitizer),
    ("training", "training on the images that ship in data/", training::both_devices),
    ("speed", "speed", speed::training),
    ("pytorch", "beside PyTorch", beside_pytorch::ratios),
    ("backbones", "pretrained networks' architectures beside PyTorch", beside_pytorch::backbones),
    ("simpsons", "pipelines/simpsons.yaml", headline::run),
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all is well.
fn run() -> Result<bool> {
    let sections = Sections::from_environment(&STEPS.map(|(section, ..)| section))?;
    let gpu = Gpu::open()?;
    let may_be_emulated = std::env::var("CUDA_CHECK_ON").is_ok_and(|value| value == "emulator");
    if gpu.is_emulated() != may_be_emulated {
        return Err(match may_be_emulated {
            true => {
                Error::new("CUDA_CHECK_ON=emulator, and a real GPU answers").hint("run `make cuda-check` without it")
            }
            false => Error::new("the emulated driver answers where a GPU should").hint("unset TRAIN_CUDA_DRIVER"),
        });
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let setup = Setup { gpu, root, logs: command::logs()? };
    let mut findings = Findings::default();
    findings.passed("a GPU and its driver answer", &setup.gpu.description, "");
    for (_, name, step) in STEPS.into_iter().filter(|(section, ..)| sections.want(section)) {
        eprintln!("== {name}");
        if let Err(error) = step(&setup, &mut findings) {
            eprintln!("{error}");
            findings.failed(name, error.message(), "to run");
        }
    }
    println!("{}.\n\n{}\n", machine::describe(), setup.gpu.describe());
    findings.print();
    println!("\nThe output of every command is in `{}`.", setup.logs.display());
    Ok(findings.all_well())
}
