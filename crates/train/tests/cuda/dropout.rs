//! Dropout: the same values are dropped as on the CPU, scaled the same.

use crate::common::{device, noise, pool, sum};
use dfdx::tensor::Cpu;
use preprocess::pipeline::Precision;
use train::ops::dropout::DropoutKernel;
use train::tensor::memory::{Accumulate, Memory};
use train::tensor::pass::Randomness;

#[test]
fn drops_what_the_cpu_drops() {
    let (cpu, device) = (Cpu::default(), device());
    let (cpu_pool, pool) = (cpu.pool().unwrap(), pool(&device, Precision::Fp32));
    let randomness = Randomness { seed: 0x0123_4567_89ab_cdef, step: 77, layer: 3 };
    for ([n, features], rate) in [([1, 1], 0.0), ([3, 17], 0.25), ([32, 128], 0.5), ([7, 1000], 0.9)] {
        let shape = [n, features, 1, 1];
        let (x, start) = (noise(1, n * features), noise(2, n * features));
        let on_cpu = cpu.upload(&cpu_pool, shape, &x).unwrap();
        let mut y = cpu.allocate(&cpu_pool, shape).unwrap();
        cpu.dropout(rate, randomness, [n, features], &on_cpu, &mut y).unwrap();
        let expected = cpu.download(shape, &y).unwrap();

        let on_device = device.upload(&pool, shape, &x).unwrap();
        let mut y = device.upload(&pool, shape, &vec![f32::NAN; n * features]).unwrap();
        device.dropout(rate, randomness, [n, features], &on_device, &mut y).unwrap();
        assert_eq!(device.download(shape, &y).unwrap(), expected, "{shape:?}");
        let gradient = |dx: &[f32], accumulate| {
            let mut dx = device.upload(&pool, shape, dx).unwrap();
            device.dropout_gradient(rate, randomness, [n, features], &on_device, &mut dx, accumulate).unwrap();
            device.download(shape, &dx).unwrap()
        };
        assert_eq!(gradient(&vec![f32::NAN; x.len()], Accumulate::Overwrite), expected, "{shape:?}, overwritten");
        // The device may add without rounding the product first.
        let added = gradient(&start, Accumulate::Add);
        crate::common::assert_close(&format!("{shape:?}, added"), &added, &sum(&start, &expected), 1e-6);
    }
}
