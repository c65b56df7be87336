//! Images as a network's input.

use crate::data::feed::Batch;
use crate::data::store::Pixels;
use crate::ops::Backend;
use crate::tensor::failure::device_error;
use crate::tensor::feature_map::{FeatureMap, check_len};
use crate::tensor::pass::Pass;
use crate::tensor::standardization::Standardization;
use preprocess::Result;

/// Images as a network's input: 8-bit RGB `[n, height, width, 3]` as numbers. They have no gradient, so that the first
/// convolution need not compute one.
///
/// # Errors
/// `rgb` is not `n * height * width * 3` bytes long, or the device has no memory left.
pub fn images_to_feature_map<B: Backend>(
    rgb: &[u8],
    n: usize,
    height: usize,
    width: usize,
    standardization: Standardization,
    pass: &Pass<B>,
) -> Result<FeatureMap<B>> {
    let shape = [n, 3, height, width];
    check_len("images", rgb.len(), shape)?;
    let data =
        pass.device().upload_images(pass.pool(), shape, rgb, standardization).map_err(device_error("upload images"))?;
    Ok(FeatureMap::images(shape, data))
}

/// The same for a batch that is on the device already, or on its way.
///
/// # Errors
/// The device failed, or has no memory left.
pub(crate) fn batch_to_feature_map<B: Backend>(
    batch: &Batch<Pixels<B>>,
    height: usize,
    width: usize,
    standardization: Standardization,
    pass: &Pass<B>,
) -> Result<FeatureMap<B>> {
    let shape = [batch.labels.len(), 3, height, width];
    let data = pass.device().receive_images(pass.pool(), shape, &batch.pixels, standardization);
    let data = data.map_err(device_error("receive images"))?;
    Ok(FeatureMap::images(shape, data))
}
