//! Scores of a classifier, from its predictions. The definitions are scikit-learn's; the fixture test holds the two together.

mod bootstrap;
mod calibration;
mod confusion;
mod interval;
mod loss;
mod mcnemar;
mod top_k;

pub use bootstrap::macro_f1_interval;
pub use calibration::expected_calibration_error;
pub use confusion::{AverageScores, ClassScores, ConfusionMatrix};
pub use interval::{Interval, mean_interval, wilson};
pub use loss::{cross_entropy, mean};
pub use mcnemar::{Paired, holm};
pub use top_k::top_k_accuracy;
