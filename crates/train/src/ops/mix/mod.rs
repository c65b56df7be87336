//! Images of a batch made of one another: blended (mixup, Zhang et al. 2018), with a rectangle of another one (CutMix,
//! Yun et al. 2019), with a rectangle painted over (random erasing, Zhong et al. 2020), mirrored.
//!
//! ```text
//! j'         = mirrored[n] ? w - 1 - j : j                                    x, y [n, 3, h, w]
//! y[n,c,i,j] = fill[c]                                                        (i, j) in erased[n]
//!            = x[other[n],c,i,j]                                              else (i, j) in patch[n]
//!            = share[n] · x[n,c,i,j'] + (1 - share[n]) · x[other[n],c,i,j]    else
//! ```
//! Images have no gradient, so there is no backward pass.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::tensor::feature_map::{FeatureMap, Layout};
use crate::tensor::memory::Memory;
use crate::tensor::pass::Pass;
use crate::tensor::pending::PendingKernel;
use preprocess::{Error, Result};

/// Pixels from `top` and `left` up to, not including, `bottom` and `right`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Rectangle {
    /// First row.
    pub top: u32,
    /// First column.
    pub left: u32,
    /// The row after the last.
    pub bottom: u32,
    /// The column after the last.
    pub right: u32,
}

impl Rectangle {
    /// Number of pixels.
    pub(crate) fn area(&self) -> usize {
        (self.bottom.saturating_sub(self.top) * self.right.saturating_sub(self.left)) as usize
    }

    fn has(&self, row: usize, column: usize) -> bool {
        (self.top as usize..self.bottom as usize).contains(&row)
            && (self.left as usize..self.right as usize).contains(&column)
    }
}

/// What becomes of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// The image of the batch that is mixed in.
    pub other: usize,
    /// The image's own share outside of the patch.
    pub share: f32,
    /// Where the other image alone is seen.
    pub patch: Rectangle,
    /// Where nothing is seen.
    pub erased: Rectangle,
    /// Whether the image itself is read from right to left.
    pub mirrored: bool,
}

impl Mix {
    /// Image number `image` as it is.
    pub(crate) fn none(image: usize) -> Self {
        let nowhere = Rectangle::default();
        Self { other: image, share: 1.0, patch: nowhere, erased: nowhere, mirrored: false }
    }

    /// Image number `image` seen in a mirror.
    pub(crate) fn mirror(image: usize) -> Self {
        Self { mirrored: true, ..Self::none(image) }
    }
}

/// Kernels of the op.
pub trait MixKernel: Memory {
    /// `y` of images in the form that [`Memory::upload_images`] gives them. There is a mix for each image, whose other
    /// image is one of the batch.
    fn mix_images(
        &self,
        pool: &Self::Pool,
        shape: [usize; 4],
        x: &Self::Buffer,
        mixes: &[Mix],
        fill: [f32; 3],
    ) -> Result<Self::Buffer, Self::Err>;
}

/// Images of a batch made of one another, `fill` where nothing is seen.
///
/// # Errors
/// There is not a mix for each image, or one names an image that is not there; what is given are no images; the device
/// failed.
pub(crate) fn mix<B: MixKernel + PendingKernel>(
    images: &FeatureMap<B>,
    mixes: &[Mix],
    fill: [f32; 3],
    pass: &mut Pass<B>,
) -> Result<FeatureMap<B>> {
    const OP: &str = "mix";
    let shape @ [n, channels, ..] = images.shape();
    let fits = mixes.len() == n && mixes.iter().all(|mix| mix.other < n);
    if images.layout != Layout::Images || channels != 3 || !fits {
        return Err(Error::new(format!("{} mixes are not those of {n} images", mixes.len())));
    }
    let mixed = pass.forward(OP, |device| device.mix_images(pass.pool(), shape, &images.data, mixes, fill))?;
    Ok(FeatureMap::images(shape, mixed))
}
