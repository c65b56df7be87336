//! Images on the device: the same numbers as the reference's.

use crate::common::{device, noise, pool};
use preprocess::pipeline::Precision;
use train::backend::Memory;
use train::backend::cuda::Indices;
use train::ops::images::{Store, reference};

#[test]
fn picked_images_are_those_of_the_store() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for ([h, w], all) in [([1, 1], 1), ([5, 7], 4), ([61, 61], 9)] {
        let store: Vec<u8> = noise(1, all * h * w * 3).iter().map(|v| (v * 1e4) as i32 as u8).collect();
        // Backwards and the first again.
        let indices: Vec<usize> = (0..all).rev().chain([0]).collect();
        let shape = [indices.len(), 3, h, w];
        let on_device = Store::new(&pool, &store, [h, w]).unwrap();
        let indices_on_device = Indices::new(&pool, &indices, all).unwrap();
        let picked = on_device.gather(&pool, &indices_on_device, 0..indices.len()).unwrap();
        let expected = reference::gather(&store, &indices, [h, w]);
        assert_eq!(device.download(shape, &picked).unwrap(), expected, "{shape:?}, picked");
        let last = on_device.gather(&pool, &indices_on_device, all..all + 1).unwrap();
        let first = reference::gather(&store, &[0], [h, w]);
        assert_eq!(device.download([1, 3, h, w], &last).unwrap(), first, "{shape:?}, the last of the indices");

        let shape = [all, 3, h, w];
        let uploaded = device.upload_images(&pool, shape, &store).unwrap();
        let expected = reference::gather(&store, &(0..all).collect::<Vec<_>>(), [h, w]);
        assert_eq!(device.download(shape, &uploaded).unwrap(), expected, "{shape:?}, uploaded");
    }
}
