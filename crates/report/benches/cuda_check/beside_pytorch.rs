//! The networks beside PyTorch on this GPU: `make bench-peers CUDA=1`, a row each.

use crate::Setup;
use crate::contest::{Goal, Outcome};
use crate::findings::Findings;
use crate::networks::{self, BACKBONES, BASELINE, RESNET};
use crate::peer::{Peer, Started};
use crate::shared::photos::Photos;
use crate::shared::programs::Programs;
use crate::shared::table::number;
use preprocess::Result;

/// Turns of each side.
const ROUNDS: usize = 3;

/// The mission's two networks, and the memory of training them.
pub fn ratios(setup: &Setup, findings: &mut Findings) -> Result<()> {
    let Some(programs) = prepare(setup, "training and inference beside PyTorch", findings)? else { return Ok(()) };
    for network in [RESNET, BASELINE] {
        networks::network(&setup.gpu, &programs, &network, ROUNDS, |goal, outcome| add(findings, goal, outcome))?;
    }
    networks::memory(&setup.gpu, &programs, |goal, outcome| add(findings, goal, outcome))
}

/// The networks that pretrained weights are for.
pub fn backbones(setup: &Setup, findings: &mut Findings) -> Result<()> {
    let Some(programs) = prepare(setup, "pretrained networks' architectures beside PyTorch", findings)? else {
        return Ok(());
    };
    for network in BACKBONES {
        networks::network(&setup.gpu, &programs, &network, 1, |goal, outcome| add(findings, goal, outcome))?;
    }
    Ok(())
}

/// Shards of photographs to train on; nothing where there is no PyTorch that could use this GPU, which is noted.
fn prepare(setup: &Setup, what: &str, findings: &mut Findings) -> Result<Option<Programs>> {
    if setup.gpu.is_emulated() {
        findings.not_run(what, "PyTorch cannot use the emulator");
        return Ok(None);
    }
    match Peer::start("PyTorch", "torch_networks.py", &["contiguous", "cuda", "tf32"]) {
        Ok(Started::Ready(_)) => {}
        Ok(Started::Missing(library)) => {
            findings.not_run(what, format!("the Python of PEERS_PYTHON has no `{library}`"));
            return Ok(None);
        }
        Err(error) => {
            findings.not_run(what, error.to_string().replace('\n', " "));
            return Ok(None);
        }
    }
    let photos = Photos::gather(setup.gpu.sizes.photos)?;
    let programs = Programs::of_size(photos.directory(), setup.gpu.sizes.side, setup.gpu.sizes.batches[0])?;
    programs.run("preprocess", &[])?;
    Ok(Some(programs))
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
