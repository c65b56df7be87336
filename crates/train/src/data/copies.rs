//! Which copy of each training image an epoch sees.

use crate::data::images::Images;
use crate::data::shards::Data;
use preprocess::augment::Augmentation;
use preprocess::pipeline::CopyOrder;
use preprocess::stage::random;
use preprocess::{Error, Result};
use std::sync::Arc;

/// What a model sees of each training image.
#[derive(Debug, Clone)]
pub enum TrainingCopies {
    /// The image itself.
    None,
    /// So many augmented copies, which the shards hold.
    Stored(usize),
    /// In each epoch another copy, made when it is read: nothing but the image itself is stored.
    Fly(Arc<Augmentation>),
}

/// The training images of one epoch: the same rows in every copy, of which each image shows one.
#[derive(Debug)]
pub(crate) struct EpochImages<I> {
    copies: Vec<Arc<I>>,
    /// For each image, an index into `copies`; empty where there is one copy.
    choice: Vec<u16>,
    /// Copies that other epochs show and that come before those of this one.
    before: usize,
    /// Copies that all epochs together show; 0 if each shows others.
    all: usize,
    /// How the images are changed when they are read, and the number of the copy that comes out.
    fly: Option<(Arc<Augmentation>, usize)>,
}

impl<I: Images> EpochImages<I> {
    /// What an epoch (from 0) sees.
    ///
    /// # Errors
    /// A copy cannot be read, or does not hold the same images as the others.
    pub(crate) fn of<D: Data<Images = I>>(
        data: &D,
        (copies, order): (&TrainingCopies, CopyOrder),
        seed: u64,
        epoch: usize,
    ) -> Result<Self> {
        let single = |copy, before, all| {
            Ok(Self { copies: vec![data.train(copy)?], choice: Vec::new(), before, all, fly: None })
        };
        match (copies, order) {
            (TrainingCopies::None | TrainingCopies::Stored(0), _) => single(0, 0, 1),
            (&TrainingCopies::Stored(copies), CopyOrder::Cycle) => single(1 + epoch % copies, epoch % copies, copies),
            (&TrainingCopies::Stored(copies), CopyOrder::Mixed) => {
                let copies = (0..=copies).map(|copy| data.train(copy)).collect::<Result<Vec<_>>>()?;
                let labels = |images: &I| (0..images.count()).map(|image| images.label(image)).collect::<Vec<_>>();
                let first = labels(&copies[0]);
                if copies[1..].iter().any(|images| labels(images) != first) {
                    return Err(Error::new("the copies of the training images do not hold the same images")
                        .hint("run `preprocess` again with the same pipeline file: it rewrites what is damaged"));
                }
                let (choice, all) = (mixed(first.len(), copies.len(), seed, epoch), copies.len());
                Ok(Self { copies, choice, before: 0, all, fly: None })
            }
            (TrainingCopies::Fly(augmentation), _) => {
                single(0, 0, 0).map(|images| Self { fly: Some((Arc::clone(augmentation), 1 + epoch)), ..images })
            }
        }
    }
}

impl<I> EpochImages<I> {
    /// Index into `copies`.
    fn choice(&self, image: usize) -> usize {
        self.choice.get(image).map_or(0, |&copy| usize::from(copy))
    }
}

/// Each image begins at a copy that follows from the seed and moves on by one with each epoch.
fn mixed(images: usize, copies: usize, seed: u64, epoch: usize) -> Vec<u16> {
    let mut first = random::stream(seed, "copies", &[]);
    (0..images).map(|_| ((first.below(copies) + epoch) % copies) as u16).collect()
}

impl<I: Images> Images for EpochImages<I> {
    fn count(&self) -> usize {
        self.copies[0].count()
    }

    fn label(&self, image: usize) -> usize {
        self.copies[0].label(image)
    }

    fn source(&self, image: usize) -> &str {
        self.copies[0].source(image)
    }

    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
        self.copies[self.choice(image)].read_pixels(image, pixels)?;
        if let Some((augmentation, copy)) = &self.fly {
            augmentation.apply(pixels, self.source(image), *copy);
        }
        Ok(())
    }

    fn keys(&self) -> usize {
        self.all * self.count()
    }

    fn key(&self, image: usize) -> usize {
        (self.before + self.choice(image)) * self.count() + image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_epochs_show_all_copies_and_each_image_goes_through_all_of_its_own() {
        let (images, copies) = (900, 3);
        let epochs: Vec<Vec<u16>> = (0..copies).map(|epoch| mixed(images, copies, 1, epoch)).collect();
        for (epoch, choice) in epochs.iter().enumerate() {
            for copy in 0..copies {
                let shown = choice.iter().filter(|&&shown| usize::from(shown) == copy).count();
                assert!((250..350).contains(&shown), "epoch {epoch} shows copy {copy} {shown} times");
            }
        }
        for image in 0..images {
            let mut seen: Vec<u16> = epochs.iter().map(|choice| choice[image]).collect();
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2], "image {image}");
        }
        assert_eq!(mixed(images, copies, 1, copies), epochs[0]);
        assert_ne!(mixed(images, copies, 2, 0), epochs[0]);
    }
}
