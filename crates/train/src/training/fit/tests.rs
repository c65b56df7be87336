//! Runs of the loop on images made of noise.

use super::*;
use crate::data::copies::TrainingCopies;
use crate::model::history::HISTORY_FILE;
use crate::model::inference::Inference;
use crate::training::rare_classes::RareClasses;
use dfdx::tensor::Cpu;
use preprocess::augment::{self, Augmentation};
use preprocess::image::Pixels;
use preprocess::pipeline::{
    Architecture, AugmentSettings, ClassWeights, CopyOrder, CutMix, EarlyStopping, ImageSettings, MixUp, ModelSettings,
    OptimizerChoice, RandomErasing, Restarts,
};
use preprocess::stage::random;
use std::collections::{HashMap, HashSet};
use std::fs;

/// Pixels. The least that both architectures admit is a little smaller.
const SIDE: usize = 24;

/// No earlier run.
const NOWHERE: &str = "no-such-directory";

/// Noise, brighter in the left half for class 0 and in the right half for class 1.
struct Halves {
    count: usize,
    copy: usize,
    /// Image 0 has the wrong label, so that ever surer predictions end up with an ever greater loss.
    is_mislabelled: bool,
}

fn halves(validation: usize) -> HalvesData {
    HalvesData { validation: Arc::new(Halves { count: validation, copy: 99, is_mislabelled: true }) }
}

/// A letter for every image.
const NAMES: &str = "abcdefghijklmnopqrstuvwxyz";

impl Images for Halves {
    fn count(&self) -> usize {
        self.count
    }

    fn label(&self, image: usize) -> usize {
        if image == 0 && self.is_mislabelled { 1 } else { image % 2 }
    }

    fn source(&self, image: usize) -> &str {
        &NAMES[image..=image]
    }

    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
        let mut noise = random::stream(image as u64, "noise", &[&[self.copy as u8]]);
        for (at, byte) in pixels.iter_mut().enumerate() {
            let is_bright = (at / 3 % SIDE >= SIDE / 2) == (image % 2 == 1);
            *byte = noise.below(if is_bright { 256 } else { 128 }) as u8;
        }
        Ok(())
    }
}

struct HalvesData {
    validation: Arc<Halves>,
}

impl Data for HalvesData {
    type Images = Halves;

    fn train(&self, copy: usize) -> Result<Arc<Halves>> {
        Ok(Arc::new(Halves { count: 21, copy, is_mislabelled: false }))
    }

    fn validation(&self) -> &Arc<Halves> {
        &self.validation
    }
}

fn plan(architecture: Architecture, epochs: usize, directory: &Path) -> ModelPlan {
    let augmented = architecture == Architecture::Resnet;
    ModelPlan {
        name: "halves".into(),
        settings: ModelSettings { augmented, epochs, ..ModelSettings::new(architecture) },
        seed: 5,
        batch_size: 8,
        copies: TrainingCopies::Stored(if augmented { 2 } else { 0 }),
        classes: vec!["left".into(), "right".into()],
        image: ImageSettings { width: SIDE, height: SIDE, ..ImageSettings::default() },
        dataset_fingerprint: "halves".into(),
        rare: RareClasses::default(),
        pretrained: None,
        output: directory.to_owned(),
        directory: directory.to_owned(),
    }
}

/// The final weights, with the images' margins behind them, and `history.csv`.
fn outcome(plan: &ModelPlan) -> (Vec<Array>, String) {
    let data = halves(10);
    let fitted = fit(plan, NOWHERE.as_ref(), &data, &Cpu::default(), &mut ()).unwrap();
    let mut arrays = fitted.model.weights();
    arrays.push(fitted.margins.to_array());
    (arrays, fs::read_to_string(plan.directory.join(HISTORY_FILE)).unwrap())
}

#[test]
fn a_resumed_run_ends_as_an_undisturbed_one() {
    for architecture in [Architecture::BaselineCnn, Architecture::Resnet] {
        let [whole, resumed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let undisturbed = outcome(&plan(architecture, 4, whole.path()));
        outcome(&plan(architecture, 3, resumed.path()));
        // The last checkpoint is cut short, as a disk that lost power might leave it: epoch 3 is trained once more.
        let newest = resumed.path().join(CHECKPOINT_DIRECTORY).join("epoch-0003.safetensors");
        let bytes = fs::read(&newest).unwrap();
        fs::write(newest, &bytes[..bytes.len() / 2]).unwrap();
        assert!(outcome(&plan(architecture, 4, resumed.path())) == undisturbed, "{architecture:?}");
    }
}

/// Every part of a recipe that has a state of its own.
fn recipe(directory: &Path) -> ModelPlan {
    let mut plan = plan(Architecture::Resnet, 4, directory);
    // 84 steps, the last epochs of them with an average that has begun.
    plan.batch_size = 1;
    plan.settings = ModelSettings {
        copies: CopyOrder::Mixed,
        schedule: Schedule::Cosine,
        warmup_epochs: 0.5,
        weight_decay: 0.1,
        label_smoothing: 0.1,
        ema_decay: 0.9,
        ..plan.settings
    };
    plan
}

#[test]
fn a_run_with_a_schedule_and_an_average_resumes_as_if_undisturbed() {
    let [whole, resumed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let undisturbed = outcome(&recipe(whole.path()));
    outcome(&recipe(resumed.path()));
    // Epoch 4 is trained once more.
    fs::remove_file(resumed.path().join(CHECKPOINT_DIRECTORY).join("epoch-0004.safetensors")).unwrap();
    assert!(outcome(&recipe(resumed.path())) == undisturbed);
    let rates: Vec<f64> =
        history::read_scores(whole.path()).unwrap().iter().map(|scores| scores.learning_rate).collect();
    assert!(rates.windows(2).all(|pair| pair[1] < pair[0]) && rates[3] < 1e-4, "{rates:?}");
}

/// Everything that draws from the seed in a step or keeps something from step to step.
fn mixed_recipe(directory: &Path) -> ModelPlan {
    let mut plan = plan(Architecture::Resnet, 5, directory);
    // 55 steps.
    plan.batch_size = 2;
    plan.settings = ModelSettings {
        optimizer: OptimizerChoice::Sgd,
        learning_rate: 0.01,
        clip_norm: 1.0,
        schedule: Schedule::Cosine,
        restarts: Some(Restarts { epochs: 2, factor: 2 }),
        sampler: Sampler::Balanced,
        mixup: Some(MixUp::default()),
        cutmix: Some(CutMix::default()),
        random_erasing: Some(RandomErasing::default()),
        ..plan.settings
    };
    plan
}

#[test]
fn a_run_of_mixed_images_resumes_as_if_undisturbed() {
    let [whole, resumed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let undisturbed = outcome(&mixed_recipe(whole.path()));
    outcome(&mixed_recipe(resumed.path()));
    // Epoch 5 is trained once more.
    fs::remove_file(resumed.path().join(CHECKPOINT_DIRECTORY).join("epoch-0005.safetensors")).unwrap();
    assert!(outcome(&mixed_recipe(resumed.path())) == undisturbed);
}

#[test]
fn each_part_of_a_recipe_changes_the_weights() {
    type Edit = fn(&mut ModelSettings);
    let weights = |edit: Edit| {
        let directory = tempfile::tempdir().unwrap();
        let mut plan = plan(Architecture::Resnet, 5, directory.path());
        // 55 steps: averaging begins after 50.
        plan.batch_size = 2;
        edit(&mut plan.settings);
        plan.rare = RareClasses::new(&plan.settings, &plan.classes, &[11, 10]).unwrap();
        // Without a validation split the model is that of the last epoch.
        fit(&plan, NOWHERE.as_ref(), &halves(0), &Cpu::default(), &mut ()).unwrap().model.weights()
    };
    let plain = weights(|_| ());
    let edits: [(&str, Edit); 15] = [
        ("optimizer", |s| s.optimizer = OptimizerChoice::Sgd),
        ("clipping", |s| s.clip_norm = 1e-3),
        ("restarts", |s| {
            (s.schedule, s.restarts) = (Schedule::Cosine, Some(Restarts { epochs: 1, factor: 1 }));
        }),
        ("class weights", |s| s.class_weights = Some(ClassWeights::Balanced)),
        ("sampler", |s| s.sampler = Sampler::Balanced),
        ("logit adjustment", |s| s.logit_adjustment = 1.0),
        ("mixup", |s| s.mixup = Some(MixUp::default())),
        ("cutmix", |s| s.cutmix = Some(CutMix::default())),
        ("erasing", |s| s.random_erasing = Some(RandomErasing::default())),
        ("copies", |s| s.copies = CopyOrder::Cycle),
        ("schedule", |s| s.schedule = Schedule::Cosine),
        ("warm-up", |s| s.warmup_epochs = 1.0),
        ("weight decay", |s| s.weight_decay = 0.1),
        ("label smoothing", |s| s.label_smoothing = 0.1),
        ("moving average", |s| s.ema_decay = 0.0),
    ];
    for (name, edit) in edits {
        assert!(weights(edit) != plain, "{name}");
    }
}

#[test]
fn training_learns_and_early_stopping_keeps_the_best() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(Architecture::Resnet, 30, directory.path());
    plan.settings.early_stopping = Some(EarlyStopping { patience: 2 });
    let data = halves(10);
    let fitted = fit(&plan, NOWHERE.as_ref(), &data, &Cpu::default(), &mut ()).unwrap();
    let best = fitted.scores[fitted.best_epoch - 1];
    assert!(best.validation_accuracy > 0.8, "{best:?}");
    assert!(fitted.scores.iter().all(|row| row.validation_loss >= best.validation_loss));
    let mut feed = fitted.model.feed(0, 8).unwrap();
    assert_eq!(
        Inference::of(&fitted.model).unwrap().score(&data.validation, &mut feed).unwrap().loss(),
        best.validation_loss
    );
    assert_eq!(fitted.stop, Stop::NoImprovement(2));
    assert_eq!(fitted.scores.len(), fitted.best_epoch + 2);
}

#[test]
fn an_images_key_tells_its_pixels_from_all_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(Architecture::Resnet, 4, directory.path());
    for (name, copies, order, shown) in [
        ("no copies", 0, CopyOrder::Cycle, 1),
        ("copies in turn", 3, CopyOrder::Cycle, 3),
        ("copies mixed", 2, CopyOrder::Mixed, 3),
    ] {
        (plan.copies, plan.settings.copies) = (TrainingCopies::Stored(copies), order);
        let mut pixels = HashMap::new();
        for epoch in 0..7 {
            let images = EpochImages::of(&halves(0), plan.copies(), plan.seed, epoch).unwrap();
            assert_eq!(images.keys(), shown * images.count(), "{name}");
            for image in 0..images.count() {
                let mut read = vec![0; SIDE * SIDE * 3];
                images.read_pixels(image, &mut read).unwrap();
                assert!(images.key(image) < images.keys(), "{name}");
                assert!(pixels.entry(images.key(image)).or_insert_with(|| read.clone()) == &read, "{name}");
            }
        }
        let different: HashSet<_> = pixels.values().collect();
        assert_eq!((pixels.len(), different.len()), (shown * 21, shown * 21), "{name}");
    }
}

/// What is made in passing is what shards would hold: the same for any reader, in any order, and other in every epoch.
#[test]
fn copies_made_in_passing_are_those_that_would_be_stored() {
    let augment = AugmentSettings { rotation: 30.0, horizontal_flip: true, ..Default::default() };
    let augmentation = Augmentation { settings: augment.clone(), seed: 3, size: [SIDE, SIDE] };
    let copies = TrainingCopies::Fly(Arc::new(augmentation));
    let read = |images: &dyn Fn(&mut [u8])| {
        let mut pixels = vec![0; SIDE * SIDE * 3];
        images(&mut pixels);
        pixels
    };
    let mut different = HashSet::new();
    for epoch in 0..4 {
        let images = EpochImages::of(&halves(0), (&copies, CopyOrder::default()), 5, epoch).unwrap();
        assert_eq!(images.keys(), 0, "no device keeps them");
        for image in (0..21).rev() {
            let data = read(&|pixels| halves(0).train(0).unwrap().read_pixels(image, pixels).unwrap());
            let original = Pixels { width: SIDE, height: SIDE, data };
            let expected = augment::augment(&original, &augment, 3, &NAMES[image..=image], 1 + epoch).data;
            assert!(read(&|pixels| images.read_pixels(image, pixels).unwrap()) == expected, "{epoch}, {image}");
            different.insert(expected);
        }
    }
    assert_eq!(different.len(), 4 * 21);
}

#[test]
fn a_run_with_copies_made_in_passing_resumes_as_if_undisturbed() {
    let of = |directory: &Path, epochs| {
        let settings = AugmentSettings { rotation: 30.0, ..Default::default() };
        let copies = TrainingCopies::Fly(Arc::new(Augmentation { settings, seed: 3, size: [SIDE, SIDE] }));
        ModelPlan { copies, ..plan(Architecture::Resnet, epochs, directory) }
    };
    let [whole, resumed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let undisturbed = outcome(&of(whole.path(), 4));
    outcome(&of(resumed.path(), 2));
    assert!(outcome(&of(resumed.path(), 4)) == undisturbed);
}

#[test]
fn another_learning_rate_starts_anew() {
    let [fresh, reused] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let slower = |directory: &Path| {
        let mut plan = plan(Architecture::BaselineCnn, 1, directory);
        plan.settings.learning_rate = 1e-4;
        plan
    };
    outcome(&plan(Architecture::BaselineCnn, 2, reused.path()));
    assert!(outcome(&slower(reused.path())) == outcome(&slower(fresh.path())));
}

#[test]
fn without_a_validation_split_the_last_epoch_is_the_model() {
    let directory = tempfile::tempdir().unwrap();
    let data = halves(0);
    let fitted =
        fit(&plan(Architecture::BaselineCnn, 2, directory.path()), NOWHERE.as_ref(), &data, &Cpu::default(), &mut ())
            .unwrap();
    assert_eq!(fitted.best_epoch, 2);
    assert!(history::read_scores(directory.path()).unwrap()[1].validation_loss.is_nan());
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let data = halves(10);
    let mut plan = plan(Architecture::Resnet, 2, directory.path());
    plan.settings.learning_rate = 1e38;
    let error = fit(&plan, NOWHERE.as_ref(), &data, &Cpu::default(), &mut ()).err().expect("diverged").to_string();
    for part in [
        "`halves` diverged",
        "in epoch 1, step 2 of 3",
        "no epoch was completed",
        "--set train.models.halves.learning_rate=",
    ] {
        assert!(error.contains(part), "no `{part}` in {error}");
    }
}
