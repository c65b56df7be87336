use dfdx::prelude::*;
use std::time::Instant;
use train::device::cpu::BufferPool;
use train::ops::conv2d::{Options, Padding, conv2d};
use train::ops::global_avg_pool2d::global_avg_pool2d;
use train::tensor::activation::Activation;
use train::tensor::feature_map::{FeatureMap, to_matrix};
use train::tensor::parameter::Parameter;
use train::tensor::pass::Pass;
fn main() {
    let d = Cpu::default();
    let pool = BufferPool::default();
    for (n, c, h, k, s) in [
        (8usize, 32usize, 112usize, 3usize, 1usize),
        (8, 144, 56, 3, 2),
        (8, 480, 14, 5, 1),
        (8, 96, 28, 7, 1),
        (8, 144, 56, 3, 1),
    ] {
        let w = Parameter::new("w.weight".into(), &[c, 1, k, k], vec![0.1; c * k * k], true, &d).unwrap();
        let values = vec![0.5; n * c * h * h];
        let mut best = [f64::MAX; 2];
        let mut flops = 0;
        for _ in 0..30 {
            let mut pass = Pass::train(&d, &pool, 0, 0);
            let x = FeatureMap::from_nchw(&values, [n, c, h, h], &pass).unwrap();
            let t = Instant::now();
            let y = conv2d(
                &x,
                &w,
                None,
                Options {
                    stride: s,
                    padding: Padding::Symmetric(k / 2),
                    groups: c,
                    residual: None,
                    activation: Activation::None,
                    moments: false,
                },
                &mut pass,
            )
            .unwrap();
            best[0] = best[0].min(t.elapsed().as_secs_f64());
            flops = 2 * y.shape().iter().product::<usize>() * k * k;
            let z = global_avg_pool2d("m", &y, &mut pass).unwrap();
            let m = to_matrix(&z, &mut pass).unwrap();
            let l = m.put_tape(pass.take_tape()).sum::<(), _>();
            let t = Instant::now();
            let g = l.backward();
            best[1] = best[1].min(t.elapsed().as_secs_f64());
            drop(g);
        }
        println!(
            "{n}x{c}x{h} k{k} s{s}: forward {:.2} ms {:.1} GFLOP/s, backward(+pool) {:.2} ms {:.1} GFLOP/s",
            best[0] * 1e3,
            flops as f64 / best[0] / 1e9,
            best[1] * 1e3,
            2.0 * flops as f64 / best[1] / 1e9
        );
    }
}
