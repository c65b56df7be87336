//! Training as a terminal or a log shows it: a line for what is worth one, a bar within an epoch.

use crate::training::events::{Event, Listener};
use preprocess::stage::progress::Progress;
use preprocess::{note, say};

/// Prints what happens to one model.
#[derive(Debug)]
pub(crate) struct Console {
    model: String,
    epoch: Option<Progress>,
}

impl Console {
    /// For the model of this name.
    pub(crate) fn new(model: &str) -> Self {
        Self { model: model.to_owned(), epoch: None }
    }
}

impl Listener for Console {
    fn hear(&mut self, event: Event<'_>) {
        let model = &self.model;
        match event {
            Event::StartedOver { epochs_count } => say!(
                "{model}: the data, the settings{} or the version changed since its last run: training from the start",
                if epochs_count { " (under a schedule, `epochs` too)" } else { "" }
            ),
            Event::Resumed { epochs } => say!("{model}: resuming after epoch {epochs}"),
            Event::HeadFitted { passes, penalty, last } => {
                let validation = match last.validation.images {
                    0 => String::new(),
                    _ => format!(
                        "  val_loss {:.4}  val_accuracy {:.1} %",
                        last.validation.loss(),
                        100.0 * last.validation.accuracy()
                    ),
                };
                say!(
                    "{model}: head fitted in {passes} passes, penalty {penalty}: loss {:.4}  accuracy {:.1} %{validation}",
                    last.training.loss(),
                    100.0 * last.training.accuracy(),
                );
            }
            Event::Began { parameters, images, batch_size, validation_images } => say!(
                "{model}: {parameters} parameters, {images} training images in {} steps of at most {batch_size}, \
                 {validation_images} validation images",
                images.div_ceil(batch_size),
            ),
            Event::ImagesKept { kept, all, bytes } => {
                let gib = bytes as f64 / (1u64 << 30) as f64;
                let which = if kept == all { format!("all {all}") } else { format!("{kept} of {all}") };
                note!("{model}: {which} training images, copies included, will stay on the GPU: {gib:.2} GiB");
            }
            Event::EpochBegan { epoch, epochs, images } => {
                let label = format!("{model} epoch {epoch}/{epochs}");
                self.epoch = Some(Progress::new(label, images as u64, "images"));
            }
            Event::Stepped { images, loss, accuracy } => {
                let Some(progress) = &self.epoch else { return };
                progress.message(format!("loss {loss:.4}, accuracy {:.1} %", 100.0 * accuracy));
                progress.advance(images as u64);
            }
            Event::EpochTrained => self.epoch = None,
            Event::EpochEnded { scores, timing, epochs, validation_images } => {
                let validation = match validation_images {
                    0 => String::new(),
                    _ => format!(
                        "  val_loss {:.4}  val_accuracy {:.1} %",
                        scores.validation_loss,
                        100.0 * scores.validation_accuracy
                    ),
                };
                say!(
                    "epoch {}/{epochs}  loss {:.4}  accuracy {:.1} %{validation}  {:.0} images/s  {:.1} s",
                    scores.epoch,
                    scores.loss,
                    100.0 * scores.accuracy,
                    timing.images_per_second,
                    timing.seconds,
                );
            }
        }
    }
}
