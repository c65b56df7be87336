//! Mixed images against the reference.

use crate::common::{assert_close, device, noise, pool};
use preprocess::pipeline::Precision;
use train::ops::mix::{Mix, MixKernel, Rectangle, reference};
use train::tensor::memory::Memory;

#[test]
fn equals_the_reference() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let rectangle = |[top, left, bottom, right]: [u32; 4]| Rectangle { top, left, bottom, right };
    let nowhere = rectangle([0; 4]);
    let mixes = |n: usize, [h, w]: [u32; 2]| -> Vec<Mix> {
        let all = [
            Mix { other: 0, share: 1.0, patch: nowhere, erased: nowhere, mirrored: true },
            Mix { other: n - 1, share: 0.25, patch: nowhere, erased: rectangle([0, 0, h, 1]), mirrored: false },
            Mix { other: 0, share: 1.0, patch: rectangle([0, 0, h / 2, w]), erased: nowhere, mirrored: false },
            Mix { other: 1 % n, share: 0.5, patch: rectangle([0, 0, h, w]), erased: nowhere, mirrored: true },
        ];
        all.into_iter().cycle().take(n).collect()
    };
    for [n, h, w] in [[1, 1, 1], [4, 7, 5], [5, 33, 31], [3, 1, 300]] {
        // Interleaved for the reference, in planes on the device.
        let x = noise(1, n * h * w * 3);
        let planes = |x: &[f32]| -> Vec<f32> {
            let images = x.chunks_exact(h * w * 3);
            let plane = |image: &[f32], channel: usize| image[channel..].iter().step_by(3).copied().collect::<Vec<_>>();
            images.flat_map(|image| (0..3).flat_map(|channel| plane(image, channel)).collect::<Vec<_>>()).collect()
        };
        let mixes = mixes(n, [h as u32, w as u32]);
        let fill = [0.5, -1.0, 2.0];
        let on_device = device.upload(&pool, [n, 3, h, w], &planes(&x)).unwrap();
        let y = device.mix_images(&pool, [n, 3, h, w], &on_device, &mixes, fill).unwrap();
        let y = device.download([n, 3, h, w], &y).unwrap();
        assert_close(&format!("{n} images of {h}x{w}"), &y, &planes(&reference::mix(&x, [h, w], &mixes, fill)), 1e-6);
    }
}
