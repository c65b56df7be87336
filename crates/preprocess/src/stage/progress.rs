//! How far the work has come: a bar where stderr is a terminal, otherwise a plain line every few seconds, and in both
//! cases a line with total, time and rate at the end.

use super::output::note;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time between two plain lines.
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress over a known number of items. Shared by reference between threads.
#[derive(Debug)]
pub struct Progress {
    label: String,
    unit: &'static str,
    total: u64,
    done: AtomicU64,
    /// Items that were there already: they count as done, not towards the rate.
    resumed: AtomicU64,
    started: Instant,
    view: View,
}

#[derive(Debug)]
enum View {
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

/// What the plain lines need to remember.
#[derive(Debug, Default)]
struct Lines {
    message: String,
    last: Duration,
}

impl Progress {
    /// Starts counting to `total`. `unit` is the plural of what is counted: `images`.
    pub fn new(label: impl Into<String>, total: u64, unit: &'static str) -> Self {
        let label = label.into();
        let view = if std::io::stderr().is_terminal() {
            View::Bar(bar(&label, total, unit))
        } else {
            View::Lines(Mutex::default())
        };
        let (done, resumed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { label, unit, total, done, resumed, started: Instant::now(), view }
    }

    /// Counts `items` more as done.
    pub fn advance(&self, items: u64) {
        self.done.fetch_add(items, Ordering::Relaxed);
        match &self.view {
            View::Bar(bar) => bar.inc(items),
            View::Lines(lines) => self.line_if_due(lines),
        }
    }

    /// Counts items that an earlier run has done: they are no part of the rate.
    pub(crate) fn resume_at(&self, items: u64) {
        self.resumed.store(items, Ordering::Relaxed);
        self.done.store(items, Ordering::Relaxed);
        if let View::Bar(bar) = &self.view {
            bar.set_position(items);
            bar.reset_eta();
        }
    }

    /// Shows `message` behind the numbers from now on: the loss, the file in work.
    pub fn message(&self, message: impl Into<String>) {
        match &self.view {
            View::Bar(bar) => bar.set_message(format!(", {}", message.into())),
            View::Lines(lines) => lock(lines).message = message.into(),
        }
    }

    /// Takes the bar away and prints the last line: how many items in what time.
    pub(crate) fn finish(self) {
        let (count, last) = (self.count(), self.message_now());
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
        note(format_args!("{}{last}", count.last_line(&self.label, self.unit)));
    }

    fn line_if_due(&self, lines: &Mutex<Lines>) {
        // Whoever finds the lock taken leaves the line to the thread that has it.
        let Ok(mut lines) = lines.try_lock() else { return };
        let elapsed = self.started.elapsed();
        if elapsed - lines.last >= LINE_EVERY {
            lines.last = elapsed;
            let separator = if lines.message.is_empty() { "" } else { ", " };
            note(format_args!("{}{separator}{}", self.count().line(&self.label, self.unit), lines.message));
        }
    }

    fn count(&self) -> Count {
        Count {
            done: self.done.load(Ordering::Relaxed),
            resumed: self.resumed.load(Ordering::Relaxed),
            total: self.total,
            elapsed: self.started.elapsed(),
        }
    }

    /// The message with its separator.
    fn message_now(&self) -> String {
        match &self.view {
            View::Bar(bar) => bar.message(),
            View::Lines(lines) => {
                let lines = lock(lines);
                if lines.message.is_empty() { String::new() } else { format!(", {}", lines.message) }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // After an error: the bar goes, so that the message stands by itself.
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

fn lock(lines: &Mutex<Lines>) -> std::sync::MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The bar on a terminal.
fn bar(label: &str, total: u64, unit: &'static str) -> ProgressBar {
    let rate = move |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(out, "{}", Rate { per_second: state.per_sec(), unit });
    };
    let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(out, "{}", Seconds(state.eta()));
    };
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len}, {rate}, {left} left{msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
        .with_key("left", left)
        .progress_chars("=> ");
    let bar = ProgressBar::new(total).with_style(style).with_prefix(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A moment of the work.
#[derive(Debug, Clone, Copy)]
struct Count {
    done: u64,
    resumed: u64,
    total: u64,
    elapsed: Duration,
}

impl Count {
    /// Items a second of this run; 0 before the first.
    fn per_second(self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.done.saturating_sub(self.resumed) as f64 / seconds } else { 0.0 }
    }

    /// `train: 300 of 1200 images (25 %), 60.0 images/s, 15 s left`.
    fn line(self, label: &str, unit: &'static str) -> String {
        let Count { done, total, .. } = self;
        let mut line = format!("{label}: {done} of {total} {unit}");
        if let Some(percent) = (100 * done).checked_div(total) {
            let _ = write!(line, " ({percent} %)");
        }
        let per_second = self.per_second();
        if per_second > 0.0 {
            let left = Duration::from_secs_f64(total.saturating_sub(done) as f64 / per_second);
            let _ = write!(line, ", {}, {} left", Rate { per_second, unit }, Seconds(left));
        }
        line
    }

    /// `train: 1200 images in 20.0 s, 60.0 images/s`.
    fn last_line(self, label: &str, unit: &'static str) -> String {
        let mut line = format!("{label}: {} {unit} in {}", self.done, Seconds(self.elapsed));
        if self.per_second() > 0.0 {
            let _ = write!(line, ", {}", Rate { per_second: self.per_second(), unit });
        }
        line
    }
}

/// Three digits are enough to compare by.
struct Rate {
    per_second: f64,
    unit: &'static str,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.per_second < 10.0 { 2 } else { usize::from(self.per_second < 100.0) };
        write!(f, "{:.digits$} {}/s", self.per_second, self.unit)
    }
}

/// A duration for a person: `0.3 s`, `42 s`, `3 min 05 s`, `2 h 07 min`.
pub(crate) struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let whole = seconds.round() as u64;
        match whole {
            0..=9 => write!(f, "{seconds:.1} s"),
            10..=59 => write!(f, "{whole} s"),
            60..=3599 => write!(f, "{} min {:02} s", whole / 60, whole % 60),
            _ => write!(f, "{} h {:02} min", whole / 3600, whole % 3600 / 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_count_rate_and_time_left() {
        let count =
            |done, resumed, total, seconds| Count { done, resumed, total, elapsed: Duration::from_secs(seconds) };
        for (name, line, expected) in [
            ("under way", count(300, 0, 1200, 5), "train: 300 of 1200 images (25 %), 60.0 images/s, 15 s left"),
            ("nothing yet", count(0, 0, 1200, 5), "train: 0 of 1200 images (0 %)"),
            ("no time yet", count(5, 0, 10, 0), "train: 5 of 10 images (50 %)"),
            ("resumed", count(700, 600, 1200, 50), "train: 700 of 1200 images (58 %), 2.00 images/s, 4 min 10 s left"),
            ("of nothing", count(0, 0, 0, 1), "train: 0 of 0 images"),
            ("more than announced", count(12, 0, 10, 1), "train: 12 of 10 images (120 %), 12.0 images/s, 0.0 s left"),
        ] {
            assert_eq!(line.line("train", "images"), expected, "{name}");
        }
        assert_eq!(count(1200, 0, 1200, 2).last_line("train", "images"), "train: 1200 images in 2.0 s, 600 images/s");
        assert_eq!(count(0, 0, 0, 0).last_line("train", "images"), "train: 0 images in 0.0 s");
    }

    #[test]
    fn durations_are_for_a_person() {
        for (seconds, expected) in [
            (0.04, "0.0 s"),
            (9.4, "9.4 s"),
            (9.6, "10 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (185.0, "3 min 05 s"),
            (7620.0, "2 h 07 min"),
        ] {
            assert_eq!(Seconds(Duration::from_secs_f64(seconds)).to_string(), expected, "{seconds}");
        }
    }

    #[test]
    fn threads_count_together() {
        let progress = Progress::new("count", 4000, "items");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| progress.advance(1)));
            }
        });
        assert_eq!(progress.count().done, 4000);
    }
}
