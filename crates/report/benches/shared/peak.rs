//! What the machine could do: the ceilings against which everything else is held, measured in the same run.

use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;
use train::device::cpu::simd::{Kernel, Level, Simd, dispatch, level};

/// Lanes of a block of [`Simd`].
const LANES: usize = 16;
/// Multiply-adds of each chain in one measurement: some 50 ms.
const LENGTH: usize = 20_000_000;
/// Floats that are copied: far more than the caches hold.
const COPIED: usize = 1 << 26;
/// Measurements, of which the best counts: a ceiling is what was reached once.
const PASSES: usize = 7;

/// Ceilings of this machine, all threads together.
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    /// Floating-point operations a second in registers, a multiply-add counted as two, at the level that the kernels
    /// use.
    pub flops: f64,
    /// Bytes a second of a copy from memory to memory, those read and those written added.
    pub bytes: f64,
}

impl Peak {
    /// Measures them: about two seconds.
    pub fn measure() -> Self {
        Self { flops: arithmetic(), bytes: copy() }
    }
}

fn arithmetic() -> f64 {
    let pass = || {
        let started = Instant::now();
        let chains = rayon::broadcast(|_| multiply_adds());
        (chains.iter().sum::<usize>() * LENGTH * LANES * 2) as f64 / started.elapsed().as_secs_f64()
    };
    // The clock of the processor may have to come down from where it idled, or up.
    black_box(pass());
    (0..PASSES).map(|_| pass()).fold(0.0, f64::max)
}

/// Runs chains of multiply-adds, each waiting for its own last result only; returns how many chains there were. Enough
/// to hide the latency of two units of four or five cycles, few enough to stay in registers.
fn multiply_adds() -> usize {
    match level() {
        Level::Avx512 => chains::<12>(),
        Level::Avx2 => chains::<6>(),
        Level::Reference | Level::Portable => chains::<3>(),
    }
}

fn chains<const N: usize>() -> usize {
    // SAFETY: `level` is one that this machine has; the kernel touches no memory.
    unsafe { dispatch(level(), Chains::<N>) }
    N
}

struct Chains<const N: usize>;

impl<const N: usize> Kernel for Chains<N> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut out = [0.0f32; LANES];
        // SAFETY: the caller promises the instruction set; `out` holds 16 floats.
        unsafe {
            let (factor, term) = (S::splat(black_box(0.999)), S::splat(black_box(0.001)));
            let mut sums = [S::splat(1.0); N];
            for _ in 0..LENGTH {
                for sum in &mut sums {
                    *sum = S::multiply_add(*sum, factor, term);
                }
            }
            let mut total = sums[0];
            for sum in &sums[1..] {
                total = S::add(total, *sum);
            }
            S::store(out.as_mut_ptr(), total);
        }
        black_box(out);
    }
}

fn copy() -> f64 {
    let (from, mut to) = (vec![1.0f32; COPIED], vec![0.0f32; COPIED]);
    let share = COPIED.div_ceil(rayon::current_num_threads());
    let mut pass = || {
        let started = Instant::now();
        to.par_chunks_mut(share).zip(from.par_chunks(share)).for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&mut to);
        (2 * COPIED * size_of::<f32>()) as f64 / started.elapsed().as_secs_f64()
    };
    (0..PASSES).map(|_| pass()).fold(0.0, f64::max)
}
