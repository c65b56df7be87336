//! Batches that come to the device: whatever of them it keeps, the floats are those of the CPU.

use crate::common::device;
use dfdx::tensor::Cpu;
use preprocess::stage::random;
use preprocess::{Error, Result};
use std::collections::VecDeque;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use train::data::feed::{Batch, Feed};
use train::data::images::Images;
use train::data::order::shuffled;
use train::data::store::{HostStore, ImageMemory};
use train::device::cuda::{CudaBuffer, CudaStore};
use train::tensor::memory::Memory;
use train::tensor::standardization::Standardization;

const SIZE: [usize; 2] = [20, 17];
const BYTES: usize = SIZE[0] * SIZE[1] * 3;
const BATCH: usize = 8;
const COUNT: usize = 45;
const COPIES: usize = 2;

/// Noise.
struct Noise {
    copy: usize,
    broken: Option<usize>,
    reads: Arc<AtomicUsize>,
}

impl Images for Noise {
    fn count(&self) -> usize {
        COUNT
    }

    fn label(&self, image: usize) -> usize {
        image % 3
    }

    fn source(&self, _image: usize) -> &str {
        "noise"
    }

    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
        if self.broken == Some(image) {
            return Err(Error::new(format!("image {image} is broken")));
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut noise = random::stream(self.key(image) as u64, "noise", &[]);
        pixels.iter_mut().for_each(|byte| *byte = noise.below(256) as u8);
        Ok(())
    }

    fn keys(&self) -> usize {
        COPIES * COUNT
    }

    fn key(&self, image: usize) -> usize {
        self.copy * COUNT + image
    }
}

fn noise(copy: usize, reads: &Arc<AtomicUsize>) -> Arc<Noise> {
    Arc::new(Noise { copy, broken: None, reads: Arc::clone(reads) })
}

fn feed(keep: usize) -> Feed<CudaStore> {
    Feed::new(device().store(keep, BATCH, BYTES).unwrap(), BYTES, BATCH)
}

/// Each batch's labels and images `[n, 3, h, w]`.
type Seen = Vec<(Vec<usize>, Vec<f32>)>;

/// The device may be behind by `behind` batches.
fn on_gpu(feed: &mut Feed<CudaStore>, images: &Arc<Noise>, order: &[usize], behind: usize) -> Seen {
    let (device, [h, w]) = (device(), SIZE);
    let pool = device.pool().unwrap();
    let (mut seen, mut waiting) = (Seen::new(), VecDeque::new());
    let mut wait = |waiting: &mut VecDeque<(Vec<usize>, CudaBuffer)>| {
        let Some((labels, buffer)) = waiting.pop_front() else { return };
        let floats = device.download([labels.len(), 3, h, w], &buffer).unwrap();
        seen.push((labels, floats));
    };
    for batch in feed.epoch(images, order.to_vec()).unwrap() {
        let Batch { pixels, labels } = batch.unwrap();
        let floats =
            device.receive_images(&pool, [labels.len(), 3, h, w], &pixels, Standardization::default()).unwrap();
        waiting.push_back((labels, floats));
        if waiting.len() > behind {
            wait(&mut waiting);
        }
    }
    (0..behind).for_each(|_| wait(&mut waiting));
    seen
}

fn on_cpu(images: &Arc<Noise>, order: &[usize]) -> Seen {
    let (device, [h, w]) = (Cpu::default(), SIZE);
    let pool = device.pool().unwrap();
    let floats = |n, pixels: &Vec<u8>| {
        let buffer = device.receive_images(&pool, [n, 3, h, w], pixels, Standardization::default()).unwrap();
        // Pixels of three channels to planes.
        let plane = |image: usize, channel| {
            let pixels = buffer[image * BYTES..][..BYTES].as_chunks::<3>().0;
            pixels.iter().map(move |pixel| pixel[channel]).collect::<Vec<_>>()
        };
        (0..n).flat_map(|image| (0..3).flat_map(move |channel| plane(image, channel))).collect()
    };
    let mut feed = Feed::new(HostStore, BYTES, BATCH);
    let batches = feed.epoch(images, order.to_vec()).unwrap().map(Result::unwrap);
    batches.map(|batch| (batch.labels.clone(), floats(batch.labels.len(), &batch.pixels))).collect()
}

/// Four epochs, two of each copy; then how many images were read.
fn compare(feed: &mut Feed<CudaStore>, name: &str, behind: usize) -> usize {
    let (reads, others) = Default::default();
    for epoch in 0..2 * COPIES {
        let order = shuffled(COUNT, 1, epoch);
        let seen = on_gpu(feed, &noise(epoch % COPIES, &reads), &order, behind);
        assert!(seen == on_cpu(&noise(epoch % COPIES, &others), &order), "{name}, epoch {epoch}");
    }
    reads.load(Ordering::Relaxed)
}

#[test]
fn every_batch_is_that_of_the_cpu_whatever_the_device_keeps() {
    let all = COPIES * COUNT;
    for (name, keep) in [("none", 0), ("one", 1), ("less than a batch", 5), ("some", 50), ("all", all)] {
        let mut feed = feed(keep);
        assert_eq!(feed.slots(), keep, "{name}");
        assert_eq!(compare(&mut feed, name, 3), 2 * all - keep, "{name}: images read");
    }
}

#[test]
fn an_epoch_that_ends_early_does_not_spoil_the_next() {
    let reads = Arc::default();
    for keep in [0, 20, COUNT] {
        let mut feed = feed(keep);
        let broken = Arc::new(Noise { copy: 0, broken: Some(30), reads: Arc::clone(&reads) });
        let results: Vec<_> = feed.epoch(&broken, (0..COUNT).collect()).unwrap().map(|batch| batch.map(drop)).collect();
        assert_eq!(results.len(), 4);
        assert_eq!(results[3].as_ref().unwrap_err().message(), "image 30 is broken");

        // The last batch may be on its way, and counted as kept, when the epoch is left before it.
        let images = noise(0, &reads);
        for batches in [1, COUNT.div_ceil(BATCH) - 1] {
            let mut left = feed.epoch(&images, (0..COUNT).collect()).unwrap();
            for _ in 0..batches {
                std::thread::sleep(Duration::from_millis(5));
                assert!(left.next().unwrap().is_ok());
            }
            drop(left);
            assert_eq!(Arc::strong_count(&images), 1, "a thread is left");
        }
        let order = shuffled(COUNT, 1, 1);
        assert!(on_gpu(&mut feed, &images, &order, 3) == on_cpu(&images, &order), "{keep} kept");
    }
}

/// Runs tests of this file in a process of its own.
fn run(arguments: &[&str], variables: &[(&str, &str)]) {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{variables:?}:\n{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_split_that_does_not_fit_stays_in_part() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report");
    // Half of it is for images; the other half holds the floats of a batch.
    let memory = COPIES * COUNT * BYTES * 3 / 2;
    run(
        &["--exact", "feed::in_little_memory", "--ignored"],
        &[("EMULATOR_MEMORY", &memory.to_string()), ("EMULATOR_REPORT", report.to_str().unwrap())],
    );
    if let Ok(report) = std::fs::read_to_string(report) {
        assert!(report.contains("live_host_allocations 0\n"), "pinned memory is left:\n{report}");
    }
}

#[test]
#[ignore = "run by the test before, which sets the emulator's memory"]
fn in_little_memory() {
    let mut feed = feed(COPIES * COUNT);
    let kept = feed.slots();
    if std::env::var_os("TRAIN_CUDA_DRIVER").is_some() {
        assert!((1..COPIES * COUNT).contains(&kept), "{kept} stay");
    }
    assert_eq!(compare(&mut feed, "in little memory", 0), 2 * COPIES * COUNT - kept);
}

#[test]
fn no_batch_depends_on_when_copies_run() {
    for when in ["late", "early"] {
        let tests = ["feed::every_batch_is_that_of_the_cpu_whatever_the_device_keeps", "feed::an_epoch_that_ends"];
        tests.iter().for_each(|test| run(&[test], &[("EMULATOR_STREAMS", when)]));
    }
}
