//! Images on the device: the same numbers as the reference's. Images picked by index are in the feed's tests.

use crate::common::{device, noise, pool};
use preprocess::pipeline::Precision;
use train::device::images::reference;
use train::tensor::memory::Memory;

#[test]
fn uploaded_images_are_the_references() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for ([h, w], n) in [([1, 1], 1), ([5, 7], 4), ([61, 61], 9)] {
        let rgb: Vec<u8> = noise(1, n * h * w * 3).iter().map(|v| (v * 1e4) as i32 as u8).collect();
        let shape = [n, 3, h, w];
        let uploaded = device.upload_images(&pool, shape, &rgb).unwrap();
        let expected = reference::gather(&rgb, &(0..n).collect::<Vec<_>>(), [h, w]);
        assert_eq!(device.download(shape, &uploaded).unwrap(), expected, "{shape:?}");
    }
}
