//! Scores of a classifier, from its predictions. The definitions are scikit-learn's; the fixture test holds the two
//! together.

mod bootstrap;
mod calibration;
mod confusion;
mod groups;
mod interval;
mod loss;
mod paired;
mod quantiles;
mod sign_flip;
mod top_k;

pub(crate) use bootstrap::macro_f1_interval;
pub(crate) use calibration::expected_calibration_error;
pub use confusion::{AverageScores, ConfusionMatrix};
pub use groups::Groups;
pub use interval::{
    Interval, accuracy_interval, difference_interval, mean_interval, positive_mean_interval, student_interval, wilson,
};
pub use loss::{cross_entropy, mean};
pub(crate) use paired::{Paired, whole};
pub use quantiles::normal_quantile;
pub use sign_flip::{holm, sign_flip, sign_flip_real, two_sided};
pub use top_k::top_k_accuracy;
