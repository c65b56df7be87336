//! Images on the device: the same numbers as the reference's. Images picked by index are in the feed's tests.

use crate::common::{assert_close, device, noise, pool};
use preprocess::pipeline::Precision;
use train::device::images::reference;
use train::tensor::memory::Memory;
use train::tensor::standardization::Standardization;

#[test]
fn uploaded_images_are_the_references() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for ([h, w], n) in [([1, 1], 1), ([5, 7], 4), ([61, 61], 9)] {
        let rgb: Vec<u8> = noise(1, n * h * w * 3).iter().map(|v| (v * 1e4) as i32 as u8).collect();
        let shape = [n, 3, h, w];
        let uploaded = |of| device.download(shape, &device.upload_images(&pool, shape, &rgb, of).unwrap()).unwrap();
        let expected = |of| reference::gather(&rgb, &(0..n).collect::<Vec<_>>(), [h, w], of);
        let plain = Standardization::default();
        assert_eq!(uploaded(plain), expected(plain), "{shape:?}");
        let imagenet = Standardization::IMAGENET;
        assert_close(&format!("{shape:?}, ImageNet"), &uploaded(imagenet), &expected(imagenet), 1e-6);
    }
}
