//! Images that show nothing, or that are of another form than the rest.
//!
//! What is normal differs: drawings are white with little in between, radiographs are dark and soft, products stand
//! before an empty background. So an image must be far from the set's own distribution *and* beyond a limit that holds
//! for any set.

use super::finding::{Finding, Kind, Suggestion, beyond};
use super::robust::Distribution;
use train::audit::evidence::{Evidence, ImageEvidence, PictureStatistics};

/// Nothing is flagged as empty with a higher standard deviation of the luma, of 255: thin lines on paper have 15 to 30.
const EMPTY: f64 = 10.0;
/// An image as even as this shows nothing, unless the whole set is hardly less even. Compressed noise is below.
const CONSTANT: f64 = 2.0;
/// A set whose median contrast is so many times an image's has more to show than that image.
const RICHER: f64 = 4.0;
/// Nearly all pixels have one value: 0.15 bits are two pixels of a hundred, in one other value.
const FEW_VALUES: f64 = 0.15;
/// Mean lumas, of 255, below which an empty image is black, and above which it is white.
const BLACK: f64 = 16.0;
const WHITE: f64 = 239.0;
/// Nothing is flagged as blurred with a higher variance of the Laplacian. J. L. Pech-Pacheco et al. (ICPR 2000) measure
/// focus so; 100 is the usual limit for photographs at full size, and smaller ones are sharper.
const BLURRED: f64 = 50.0;
/// No form within this factor of the usual one is odd: a square is within it of 5:2 and 2:5.
const ODD_FORM: f64 = 2.5;
/// How many standard deviations from the median, by the median absolute deviation, is far: a normal distribution has
/// one of 3 million there (one of 4,000 for blur, which two measures must find).
const FAR: f64 = 5.0;
const FAR_IN_BOTH: f64 = 3.5;
/// Below these, spreads of the logarithms are taken for these: sets from one source are very even.
const FLOOR: f64 = 0.3;
const FORM_FLOOR: f64 = 0.1;

/// In the order of the rows, each image once, with the worst that is to be said of it.
pub(super) fn find(evidence: &Evidence) -> Vec<Finding> {
    let normal = Normal::of(&evidence.images);
    let found = |(row, image): (usize, &ImageEvidence)| {
        let reasons = [normal.empty(&image.picture), normal.blurred(&image.picture), normal.odd_form(&image.picture)];
        let (score, evidence) = reasons.into_iter().flatten().reduce(|a, b| if b.0 > a.0 { b } else { a })?;
        Some(Finding { row, kind: Kind::Unusable, suggestion: Suggestion::Drop, score, evidence, beside: Vec::new() })
    };
    evidence.images.iter().enumerate().filter_map(found).collect()
}

/// What most images of the set are like; logarithms, since all are ratios.
struct Normal {
    /// Also of few images; NaN of none.
    median_contrast: f64,
    contrast: Option<Distribution>,
    entropy: Option<Distribution>,
    sharpness: Option<Distribution>,
    /// Sharpness for the contrast that there is: a blurred image lacks fine structure, a foggy one contrast.
    detail: Option<Distribution>,
    form: Option<Distribution>,
}

impl Normal {
    fn of(images: &[ImageEvidence]) -> Self {
        let all = |measure: fn(&PictureStatistics) -> f64| {
            Distribution::of(images.iter().map(|image| measure(&image.picture)), FLOOR)
        };
        let mut contrasts: Vec<f64> = images.iter().map(|image| f64::from(image.picture.contrast)).collect();
        contrasts.sort_by(f64::total_cmp);
        Self {
            median_contrast: contrasts.get(contrasts.len() / 2).copied().unwrap_or(f64::NAN),
            contrast: all(|picture| logarithm(picture.contrast)),
            entropy: all(|picture| logarithm(picture.entropy)),
            sharpness: all(|picture| logarithm(picture.sharpness)),
            detail: all(detail),
            form: Distribution::of(images.iter().filter_map(|image| elongation(&image.picture)), FORM_FLOOR),
        }
    }

    /// Nearly black, nearly white, or of one value throughout.
    fn empty(&self, picture: &PictureStatistics) -> Option<(f64, String)> {
        let (contrast, entropy) = (f64::from(picture.contrast), f64::from(picture.entropy));
        let constant = contrast < CONSTANT && contrast * RICHER < self.median_contrast;
        let even = contrast < EMPTY && is_below(self.contrast, logarithm(picture.contrast), FAR);
        let few = contrast < EMPTY && entropy < FEW_VALUES && is_below(self.entropy, logarithm(picture.entropy), FAR);
        if !(constant || even || few) {
            return None;
        }
        let kind = match f64::from(picture.brightness) {
            brightness if brightness < BLACK => "nearly black",
            brightness if brightness > WHITE => "nearly white",
            _ => "almost constant",
        };
        let score = (1.0 - contrast / EMPTY).clamp(0.0, 1.0);
        let median = self.median_contrast;
        Some((
            score,
            format!(
                "{kind}: mean luma {:.0} of 255, contrast {contrast:.1} (median of the set {median:.1}), entropy {entropy:.2} bits",
                picture.brightness
            ),
        ))
    }

    /// Not sharp, and less so than its contrast explains.
    fn blurred(&self, picture: &PictureStatistics) -> Option<(f64, String)> {
        let sharpness = f64::from(picture.sharpness);
        let distribution = self.sharpness?;
        let is_blurred = sharpness < BLURRED
            && is_below(self.sharpness, logarithm(picture.sharpness), FAR_IN_BOTH)
            && is_below(self.detail, detail(picture), FAR_IN_BOTH);
        let score = beyond(distribution.deviation(logarithm(picture.sharpness)), -FAR_IN_BOTH);
        let median = distribution.median.exp();
        is_blurred.then(|| (score, format!("blurred: sharpness {sharpness:.1}, median of the set {median:.0}")))
    }

    /// Far longer than the others are, or far squarer; upright ones are as good as those lying.
    fn odd_form(&self, picture: &PictureStatistics) -> Option<(f64, String)> {
        let (form, elongation) = (self.form?, elongation(picture)?);
        let limit = ODD_FORM.ln().max(FAR * form.spread);
        let distance = (elongation - form.median).abs();
        let (width, height) = (picture.width, picture.height);
        (distance > limit).then(|| {
            let (own, usual) = (elongation.exp(), form.median.exp());
            let reason = format!("odd form: {width} x {height} pixels, 1:{own:.1}, median of the set 1:{usual:.1}");
            (beyond(distance, limit), reason)
        })
    }
}

/// Of a quantity that may be 0.
fn logarithm(value: f32) -> f64 {
    (f64::from(value).max(0.0) + 0.01).ln()
}

fn detail(picture: &PictureStatistics) -> f64 {
    let contrast = f64::from(picture.contrast);
    logarithm(picture.sharpness) - (contrast * contrast + 1.0).ln()
}

/// Logarithm of the longer side by the shorter one; none where the size is not known.
fn elongation(picture: &PictureStatistics) -> Option<f64> {
    let (width, height) = (picture.width as f64, picture.height as f64);
    (picture.width > 0 && picture.height > 0).then(|| (width / height).ln().abs())
}

fn is_below(distribution: Option<Distribution>, value: f64, far: f64) -> bool {
    distribution.is_some_and(|distribution| distribution.deviation(value) < -far)
}
