//! Measures how fast shards become shuffled batches ready to train: 8-bit RGB, 32 images each.
//!
//! ```text
//! cargo run --release -p train --example measure_batches -- runs/fashion-mnist/shards
//! ```
//! For the rate of one core, run it on one (`taskset -c 0`).

use preprocess::dataset::Dataset;
use preprocess::pipeline::Split;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use train::data::feed::Feed;
use train::data::order::shuffled;
use train::data::store::HostStore;

const BATCH_SIZE: usize = 32;
/// Images that are read in a pass, over as many epochs as that takes.
const IMAGES: usize = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shards = std::env::args().nth(1).ok_or("usage: measure_batches SHARDS")?;
    let dataset = Dataset::open(Path::new(&shards)).map_err(|error| error.to_string())?;
    let image = &dataset.manifest().settings.image;
    let bytes = image.width * image.height * 3;
    let rows = Arc::new(dataset.rows(Split::Train, 0).map_err(|error| error.to_string())?);
    let mut feed = Feed::new(HostStore, bytes, BATCH_SIZE);
    let mut rates = [0.0; 5];
    for rate in &mut rates {
        let started = Instant::now();
        let mut images = 0;
        for epoch in 0..IMAGES.div_ceil(rows.len()) {
            let batches = feed.epoch(&rows, shuffled(rows.len(), 1, epoch)).map_err(|error| error.to_string())?;
            for batch in batches {
                images += std::hint::black_box(batch.map_err(|error| error.to_string())?).labels.len();
            }
        }
        *rate = images as f64 / started.elapsed().as_secs_f64();
    }
    rates.sort_by(f64::total_cmp);
    println!("{:.0} images/s of {}x{} pixels, median of five passes", rates[2], image.width, image.height);
    Ok(())
}
