//! Whether a model that says 80 % is right 80 % of the time.

use train::model::predictions::Prediction;

const BINS: usize = 15;

/// Expected calibration error (Guo et al., ICML 2017): the images are put into 15 equal bins by the probability of
/// their predicted class; the mean over the bins, weighted by images, of |accuracy - mean probability|. 0 without
/// images.
pub(crate) fn expected_calibration_error(rows: &[Prediction]) -> f64 {
    let mut right = [0.0; BINS];
    let mut confidence = [0.0; BINS];
    for row in rows {
        let p = f64::from(row.probabilities[row.prediction]);
        // Bins are open below and closed above, so that a probability of 1 lies in the last.
        let bin = ((p * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        right[bin] += f64::from(u8::from(row.prediction == row.label));
        confidence[bin] += p;
    }
    let gaps: f64 =
        right.iter().zip(&confidence).map(|(right, confidence): (&f64, &f64)| (right - confidence).abs()).sum();
    if rows.is_empty() { 0.0 } else { gaps / rows.len() as f64 }
}
