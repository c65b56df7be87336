//! Which images of a batch are mixed with which others, and how: drawn from the seed and the step's number, so that a
//! resumed run mixes as an undisturbed one, on any device.

use crate::ops::mix::{Mix, Rectangle};
use preprocess::pipeline::{CutMix, ImageSettings, MixUp, ModelSettings, RandomErasing};
use preprocess::stage::random::{self, Random};

/// What is done to the images of every batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mixing {
    mixup: Option<MixUp>,
    cutmix: Option<CutMix>,
    erasing: Option<RandomErasing>,
    /// Rows and columns of an image.
    size: [usize; 2],
    seed: u64,
}

/// A batch as it is mixed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MixedBatch {
    /// For each image.
    pub mixes: Vec<Mix>,
    /// The class with the larger share of each image.
    pub labels: Vec<usize>,
    /// The other class.
    pub others: Vec<usize>,
    /// The share of `labels`.
    pub shares: Vec<f32>,
}

/// Shares are multiples of this: the last bits of a power differ between mathematics libraries.
const SHARE_STEP: f64 = 1.0 / (1 << 20) as f64;

/// The sides of an erased rectangle are to each other as 0.3 to 3.3, as in the paper.
const ERASED_ASPECT: [f64; 2] = [0.3, 3.3];

/// Rectangles that do not fit into the image are drawn again so often; then nothing is erased.
const TRIES: usize = 10;

impl Mixing {
    /// None where the settings ask for nothing of it.
    pub(crate) fn new(settings: &ModelSettings, image: &ImageSettings, seed: u64) -> Option<Self> {
        let ModelSettings { mixup, cutmix, random_erasing: erasing, .. } = *settings;
        let asked = mixup.is_some() || cutmix.is_some() || erasing.is_some();
        asked.then_some(Self { mixup, cutmix, erasing, size: [image.height, image.width], seed })
    }

    /// How a step, counted from 0, mixes a batch of images with these labels.
    pub(crate) fn batch(&self, labels: &[usize], step: u64) -> MixedBatch {
        let mut random = random::stream(self.seed, "mixing", &[&step.to_le_bytes()]);
        let others = partners(labels.len(), &mut random);
        let mut batch = MixedBatch { mixes: Vec::new(), labels: Vec::new(), others: Vec::new(), shares: Vec::new() };
        for (image, other) in others.into_iter().enumerate() {
            let (mix, share) = self.mix(image, other, &mut random);
            let [label, other] = [image, mix.other].map(|image| labels[image]);
            let (label, other, share) = if share >= 0.5 { (label, other, share) } else { (other, label, 1.0 - share) };
            batch.mixes.push(mix);
            batch.labels.push(label);
            batch.others.push(other);
            batch.shares.push(share as f32);
        }
        batch
    }

    /// Of one image, and the share of its own label. An erased rectangle takes nothing from a label.
    fn mix(&self, image: usize, other: usize, random: &mut Random) -> (Mix, f64) {
        let mut mix = Mix::none(image);
        let mut share = 1.0;
        let probability = |of: Option<f64>| of.unwrap_or(0.0);
        let blends = probability(self.mixup.map(|mixup| mixup.probability));
        let cuts = probability(self.cutmix.map(|cutmix| cutmix.probability));
        let drawn = random.uniform();
        match (self.mixup, self.cutmix) {
            (Some(mixup), _) if drawn < blends => {
                share = beta(mixup.alpha, random);
                mix = Mix { other, share: share as f32, ..mix };
            }
            (_, Some(cutmix)) if drawn < blends + cuts => {
                let patch = self.patch(1.0 - beta(cutmix.alpha, random), random);
                share = 1.0 - patch.area() as f64 / (self.size[0] * self.size[1]) as f64;
                mix = Mix { other, patch, ..mix };
            }
            _ => {}
        }
        if let Some(erasing) = self.erasing
            && random.uniform() < erasing.probability
        {
            mix.erased = self.erased(erasing.area, random).unwrap_or_default();
        }
        (mix, share)
    }

    /// A rectangle of the image's shape with this share of its area, its centre anywhere, cut at the image's edges.
    fn patch(&self, area: f64, random: &mut Random) -> Rectangle {
        let [rows, columns] = self.size.map(|side| {
            let (centre, half) = (random.uniform() * side as f64, area.sqrt() * side as f64 / 2.0);
            [centre - half, centre + half].map(|end| end.round().clamp(0.0, side as f64) as u32)
        });
        Rectangle { top: rows[0], bottom: rows[1], left: columns[0], right: columns[1] }
    }

    /// A rectangle inside the image; none if all that were drawn were too long for it.
    fn erased(&self, [low, high]: [f64; 2], random: &mut Random) -> Option<Rectangle> {
        let [h, w] = self.size;
        let [flattest, steepest] = ERASED_ASPECT.map(f64::ln);
        (0..TRIES).find_map(|_| {
            let area = random.range(low, high) * (h * w) as f64;
            let aspect = random.range(flattest, steepest).exp();
            let [rows, columns] = [(area * aspect).sqrt(), (area / aspect).sqrt()].map(|side| side.round() as usize);
            (rows > 0 && columns > 0 && rows <= h && columns <= w).then(|| {
                let (top, left) = (random.below(h - rows + 1), random.below(w - columns + 1));
                let [top, left, bottom, right] = [top, left, top + rows, left + columns].map(|end| end as u32);
                Rectangle { top, left, bottom, right }
            })
        })
    }
}

/// Another image for each: none its own, unless there is one alone.
fn partners(images: usize, random: &mut Random) -> Vec<usize> {
    let mut circle: Vec<usize> = (0..images).collect();
    random.shuffle(&mut circle);
    let mut partners = vec![0; images];
    for (at, &image) in circle.iter().enumerate() {
        partners[image] = circle[(at + 1) % images];
    }
    partners
}

/// From Beta(alpha, alpha).
fn beta(alpha: f64, random: &mut Random) -> f64 {
    let [a, b] = [(); 2].map(|()| gamma(alpha, random));
    // With a tiny alpha both may be zero: as likely one end as the other.
    let share = if a + b > 0.0 { a / (a + b) } else { (random.uniform() < 0.5) as u8 as f64 };
    (share / SHARE_STEP).round() * SHARE_STEP
}

/// From Gamma(alpha, 1) (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000).
fn gamma(alpha: f64, random: &mut Random) -> f64 {
    if alpha < 1.0 {
        // 1 - uniform is never 0.
        return gamma(alpha + 1.0, random) * (1.0 - random.uniform()).powf(alpha.recip());
    }
    let d = alpha - 1.0 / 3.0;
    let c = (9.0 * d).sqrt().recip();
    loop {
        let x = random.normal();
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - random.uniform();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use preprocess::pipeline::Architecture;

    fn mixing(edit: impl FnOnce(&mut ModelSettings)) -> Mixing {
        let mut settings = ModelSettings::new(Architecture::Resnet);
        edit(&mut settings);
        Mixing::new(&settings, &ImageSettings { width: 30, height: 20, ..ImageSettings::default() }, 7).unwrap()
    }

    #[test]
    fn nothing_asked_for_is_nothing_done() {
        let settings = ModelSettings::new(Architecture::Resnet);
        assert!(Mixing::new(&settings, &ImageSettings::default(), 1).is_none());
    }

    #[test]
    fn a_step_mixes_alike_whenever_it_is_taken_and_others_mix_otherwise() {
        let mixing = mixing(|settings| {
            (settings.mixup, settings.cutmix) = (Some(MixUp::default()), Some(CutMix::default()));
            settings.random_erasing = Some(RandomErasing::default());
        });
        let labels: Vec<usize> = (0..16).map(|image| image % 3).collect();
        let batch = mixing.batch(&labels, 5);
        assert_eq!(batch, mixing.batch(&labels, 5));
        assert_ne!(batch, mixing.batch(&labels, 6));
        assert_ne!(batch, Mixing { seed: 8, ..mixing }.batch(&labels, 5));
    }

    #[test]
    fn shares_are_those_of_the_pixels() {
        let mixing = mixing(|settings| settings.cutmix = Some(CutMix { alpha: 1.0, probability: 1.0 }));
        let labels: Vec<usize> = (0..64).collect();
        let batch = mixing.batch(&labels, 0);
        for (image, mix) in batch.mixes.iter().enumerate() {
            assert!(mix.other != image && mix.share == 1.0 && mix.erased.area() == 0);
            let own = 1.0 - mix.patch.area() as f32 / 600.0;
            let of_own = if batch.labels[image] == image { batch.shares[image] } else { 1.0 - batch.shares[image] };
            assert!((of_own - own).abs() < 1e-6 && batch.shares[image] >= 0.5, "image {image}: {own}");
            assert!([batch.labels[image], batch.others[image]].contains(&mix.other));
        }
        let mean: f64 = batch.mixes.iter().map(|mix| mix.patch.area() as f64 / 600.0).sum::<f64>() / 64.0;
        assert!((0.2..0.6).contains(&mean), "{mean}");
    }

    #[test]
    fn each_happens_as_often_as_it_is_asked_for() {
        let mixing = mixing(|settings| {
            settings.mixup = Some(MixUp { alpha: 0.4, probability: 0.2 });
            settings.cutmix = Some(CutMix { alpha: 1.0, probability: 0.3 });
            settings.random_erasing = Some(RandomErasing { probability: 0.25, area: [0.1, 0.2] });
        });
        let (mut blended, mut cut, mut erased) = (0, 0, 0);
        for step in 0..100 {
            for mix in mixing.batch(&[0; 40], step).mixes {
                blended += usize::from(mix.share != 1.0);
                cut += usize::from(mix.patch.area() > 0);
                erased += usize::from(mix.erased.area() > 0);
                let part = mix.erased.area() as f64 / 600.0;
                assert!(part == 0.0 || (0.08..0.23).contains(&part), "{part}");
                assert!(mix.erased.bottom <= 20 && mix.erased.right <= 30);
            }
        }
        for (name, found, expected) in [("mixup", blended, 800), ("cutmix", cut, 1200), ("erasing", erased, 1000)] {
            assert!(found.abs_diff(expected) < 120, "{name}: {found} of 4,000");
        }
    }

    #[test]
    fn shares_have_the_moments_of_their_distribution() {
        let mut random = random::stream(3, "test", &[]);
        for alpha in [0.05, 0.2, 1.0, 4.0] {
            let drawn: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut random)).collect();
            let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
            let variance = drawn.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
            let expected = (4.0 * (2.0 * alpha + 1.0f64)).recip();
            assert!(
                (mean - 0.5).abs() < 0.02 && (variance / expected - 1.0).abs() < 0.05,
                "{alpha}: {mean}, {variance}"
            );
            assert!(drawn.iter().all(|share| (0.0..=1.0).contains(share)));
        }
    }

    #[test]
    fn one_image_alone_stays_what_it_is() {
        let mixing = mixing(|settings| settings.mixup = Some(MixUp { alpha: 1.0, probability: 1.0 }));
        let batch = mixing.batch(&[4], 0);
        assert_eq!((batch.labels, batch.others, batch.mixes[0].other), (vec![4], vec![4], 0));
    }
}
