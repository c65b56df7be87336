//! The whole of `pipelines/simpsons.yaml` on the GPU, on photographs of yours.

use crate::Setup;
use crate::command::{program, run_well};
use crate::findings::Findings;
use crate::training::{metrics, percent, test_accuracy};
use preprocess::Result;
use std::time::Instant;

const PIPELINE: &str = "pipelines/simpsons.yaml";
/// Stays, so that a run that was broken off goes on, and its report can be read.
const OUTPUT: &str = "runs/simpsons-cuda";

pub fn run(setup: &Setup, findings: &mut Findings) -> Result<()> {
    let what = format!("the whole of {PIPELINE}");
    let Some(images) = std::env::var_os("IMAGES").filter(|images| !images.is_empty()) else {
        findings.not_run(what, "give class directories of photographs: `make cuda-check IMAGES=DIR`");
        return Ok(());
    };
    if setup.gpu.is_emulated() {
        findings.not_run(what, "the emulator would take days");
        return Ok(());
    }
    let started = Instant::now();
    for stage in ["preprocess", "train", "report"] {
        let mut command = program(stage);
        command.args(["--pipeline", PIPELINE, "--set", &format!("output={OUTPUT}")]);
        command.arg("--set").arg(format!("preprocess.source={}", images.display()));
        if stage == "train" {
            command.args(["--device", "cuda"]);
        }
        let stage_started = Instant::now();
        run_well(setup, &format!("simpsons-{stage}"), &mut command)?;
        findings.note(format!("{PIPELINE}: {stage}"), format!("{:.0} s", stage_started.elapsed().as_secs_f64()));
    }
    findings.passed(what, format!("{:.0} s, report in {OUTPUT}", started.elapsed().as_secs_f64()), "to run");
    let metrics = metrics(&setup.root.join(OUTPUT))?;
    for (model, before) in [("baseline", "92.8 %"), ("resnet", "90.5 %")] {
        let seconds = metrics["models"][model]["seconds_per_epoch"].as_f64().unwrap_or(f64::NAN);
        let measured = format!("{}, {seconds:.1} s an epoch", percent(test_accuracy(&metrics, model)?));
        findings
            .note(format!("{model}, test accuracy (on a processor, with the notebook's frames: {before})"), measured);
    }
    Ok(())
}
