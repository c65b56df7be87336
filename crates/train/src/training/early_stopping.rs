//! Which epoch is the best, and when to stop. Both follow from the history alone, so that a resumed run decides as an
//! undisturbed one: there is no counter to lose.

use crate::model::history::EpochScores;
use preprocess::pipeline::{EarlyStopping, ModelSettings, Schedule};

/// Why training ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// All epochs were trained.
    AllEpochs,
    /// Nothing gets better any more: a fit that has one answer has found it.
    Converged,
    /// The validation loss has not become better for this many epochs.
    NoImprovement(usize),
}

/// The epoch (from 1) of the lowest validation loss, the first of equals; without a validation split the last one. None
/// before the first epoch.
pub(crate) fn best_epoch(history: &[EpochScores]) -> Option<usize> {
    let better = |best: &EpochScores, row: &EpochScores| row.validation_loss < best.validation_loss;
    match history.last() {
        Some(last) if last.validation_loss.is_nan() => Some(last.epoch),
        _ => history.iter().reduce(|best, row| if better(best, row) { row } else { best }).map(|row| row.epoch),
    }
}

/// The epoch (from 1) whose weights become the model: the best one; but under a schedule that ends at its last epoch
/// that one, unless early stopping is asked for. Before its end the weights are unfinished, and which of the epochs has
/// the lowest loss on few validation images is mostly luck.
pub(crate) fn kept_epoch(history: &[EpochScores], settings: &ModelSettings) -> Option<usize> {
    match is_followed_to_its_end(settings) {
        true => history.last().map(|last| last.epoch),
        false => best_epoch(history),
    }
}

/// Whether the last epoch of the schedule is the one that counts.
pub(crate) fn is_followed_to_its_end(settings: &ModelSettings) -> bool {
    settings.schedule == Schedule::Cosine && settings.early_stopping.is_none()
}

/// Whether training ends after these epochs.
pub(crate) fn stop(history: &[EpochScores], settings: &ModelSettings) -> Option<Stop> {
    let since_best = history.len() - best_epoch(history).unwrap_or(0);
    match settings.early_stopping {
        Some(EarlyStopping { patience }) if !history.is_empty() && since_best >= patience => {
            Some(Stop::NoImprovement(patience))
        }
        _ if history.len() >= settings.epochs => Some(Stop::AllEpochs),
        _ => None,
    }
}

/// Whether a run with these settings passes through this history: it would not have stopped before its end.
pub(crate) fn leads_through(history: &[EpochScores], settings: &ModelSettings) -> bool {
    (0..history.len()).all(|epochs| stop(&history[..epochs], settings).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use preprocess::pipeline::Architecture;

    fn history(losses: &[f64]) -> Vec<EpochScores> {
        let row = |(at, &validation_loss): (usize, &f64)| EpochScores {
            epoch: at + 1,
            loss: 1.0,
            accuracy: 0.5,
            validation_loss,
            validation_accuracy: 0.5,
            learning_rate: 1e-3,
        };
        losses.iter().enumerate().map(row).collect()
    }

    fn settings(epochs: usize, patience: Option<usize>) -> ModelSettings {
        ModelSettings {
            epochs,
            early_stopping: patience.map(|patience| EarlyStopping { patience }),
            ..ModelSettings::new(Architecture::Resnet)
        }
    }

    #[test]
    fn best_epochs_and_stops() {
        let none: &[f64] = &[];
        for (name, losses, epochs, patience, best, stopped) in [
            ("not begun", none, 3, Some(1), None, None),
            ("improving", &[3.0, 2.0], 3, Some(1), Some(2), None),
            ("improving to the end", &[3.0, 2.0, 1.0], 3, Some(1), Some(3), Some(Stop::AllEpochs)),
            ("one worse of two", &[3.0, 4.0], 9, Some(2), Some(1), None),
            ("two worse of two", &[3.0, 4.0, 3.5], 9, Some(2), Some(1), Some(Stop::NoImprovement(2))),
            ("equal is not better", &[3.0, 3.0], 9, Some(1), Some(1), Some(Stop::NoImprovement(1))),
            ("better again", &[3.0, 4.0, 2.0, 5.0], 9, Some(2), Some(3), None),
            ("never early", &[1.0, 2.0, 3.0, 4.0], 9, None, Some(1), None),
            ("both at once", &[1.0, 2.0], 2, Some(1), Some(1), Some(Stop::NoImprovement(1))),
            ("no validation split", &[f64::NAN, f64::NAN], 9, None, Some(2), None),
        ] {
            let (history, settings) = (history(losses), settings(epochs, patience));
            assert_eq!(best_epoch(&history), best, "{name}");
            assert_eq!(stop(&history, &settings), stopped, "{name}");
        }
    }

    #[test]
    fn a_schedule_is_followed_to_its_end() {
        let history = history(&[3.0, 1.0, 2.0]);
        let with = |schedule, patience| ModelSettings { schedule, ..settings(3, patience) };
        for (schedule, patience, kept) in [
            (Schedule::Cosine, None, 3),
            (Schedule::Cosine, Some(5), 2),
            (Schedule::Constant, None, 2),
            (Schedule::Constant, Some(5), 2),
        ] {
            assert_eq!(kept_epoch(&history, &with(schedule, patience)), Some(kept), "{schedule:?}, {patience:?}");
        }
        assert_eq!(kept_epoch(&[], &with(Schedule::Cosine, None)), None);
    }

    #[test]
    fn a_history_fits_settings_that_would_have_gone_through_it() {
        let losses = [3.0, 4.0, 2.0, 5.0];
        for (name, epochs, patience, fits) in [
            ("the same", 9, Some(2), true),
            ("more epochs", 99, Some(2), true),
            ("just as many", 4, Some(2), true),
            ("fewer epochs", 3, Some(2), false),
            ("less patience", 9, Some(1), false),
            ("no early stopping", 9, None, true),
        ] {
            assert_eq!(leads_through(&history(&losses), &settings(epochs, patience)), fits, "{name}");
        }
    }
}
