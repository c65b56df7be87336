//! The networks beside PyTorch on this GPU: `make bench-peers CUDA=1`, a row each.

use crate::Setup;
use crate::contest::{Goal, Outcome};
use crate::findings::Findings;
use crate::networks::{self, BASELINE, RESNET};
use crate::peer::{Peer, Started};
use crate::shared::photos::Photos;
use crate::shared::programs::Programs;
use crate::shared::table::number;
use preprocess::Result;

/// Turns of each side.
const ROUNDS: usize = 3;

pub fn ratios(setup: &Setup, findings: &mut Findings) -> Result<()> {
    let what = "training and inference beside PyTorch";
    if setup.gpu.is_emulated() {
        findings.not_run(what, "PyTorch cannot use the emulator");
        return Ok(());
    }
    match Peer::start("PyTorch", "torch_networks.py", &["contiguous", "cuda", "tf32"]) {
        Ok(Started::Ready(_)) => {}
        Ok(Started::Missing(library)) => {
            findings.not_run(what, format!("the Python of PEERS_PYTHON has no `{library}`"));
            return Ok(());
        }
        Err(error) => {
            findings.not_run(what, error.to_string().replace('\n', " "));
            return Ok(());
        }
    }
    let photos = Photos::gather(setup.gpu.sizes.photos)?;
    let programs = Programs::of_size(photos.directory(), setup.gpu.sizes.side, setup.gpu.sizes.batches[0])?;
    programs.run("preprocess", &[])?;
    for network in [RESNET, BASELINE] {
        networks::network(&setup.gpu, &programs, &network, ROUNDS, |goal, outcome| add(findings, goal, outcome))?;
    }
    networks::memory(&setup.gpu, &programs, |goal, outcome| add(findings, goal, outcome))
}

fn add(findings: &mut Findings, goal: &Goal, outcome: &Outcome) {
    let better = |a: f64, b: f64| if goal.less_is_better { a < b } else { a > b };
    let best = outcome.peers.iter().reduce(|a, b| if better(b.1, a.1) { b } else { a });
    let Some((name, peer)) = best else { return };
    let ratio = outcome.ours / peer;
    let (unit, sign) = if goal.less_is_better { ("MB", "at most") } else { ("images/s", "at least") };
    let measured = format!("{ratio:.2}: {} {unit} beside {} of {name}", number(outcome.ours), number(*peer));
    let is_well = if goal.less_is_better { ratio <= goal.must } else { ratio >= goal.must };
    findings.judge(is_well, &goal.work, measured, format!("{sign} {:.1}, aim {:.1}", goal.must, goal.aim));
}
