//! The instruction set, chosen at run time, and vectors of 16 floats in terms of which kernels are written once.

use super::layout::LANES;
use std::sync::OnceLock;

/// What the ops run on: instruction sets that the kernels are compiled for, or no kernels at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every op in the plain loops of its `reference.rs`, many times slower: to compare a whole training with.
    Reference,
    /// What the target always has: SSE2 on x86-64, NEON on AArch64.
    Portable,
    /// 16 registers of 8 floats, with fused multiply-add.
    Avx2,
    /// 32 registers of 16 floats.
    Avx512,
}

/// The environment variable that chooses a lower level: `reference`, `portable`, `avx2` or `avx512`.
pub(crate) const LEVEL_VARIABLE: &str = "TRAIN_SIMD";

/// The best level of this machine, or a lower one that [`LEVEL_VARIABLE`] names.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let best = available().last().copied().unwrap_or(Level::Portable);
        match std::env::var(LEVEL_VARIABLE).as_deref() {
            Ok("reference") => Level::Reference,
            Ok("portable") => Level::Portable,
            Ok("avx2") => best.min(Level::Avx2),
            Ok("avx512") | Err(_) => best,
            Ok(other) => {
                eprintln!(
                    "warning: {LEVEL_VARIABLE}={other} is not one of reference, portable, avx2, avx512: using {best:?}"
                );
                best
            }
        }
    })
}

/// Whether ops are to run their reference loops.
pub(crate) fn is_reference() -> bool {
    level() == Level::Reference
}

/// All levels of this machine that have kernels, lowest first.
pub(crate) fn available() -> Vec<Level> {
    let mut levels = vec![Level::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            levels.push(Level::Avx2);
            if is_x86_feature_detected!("avx512f") {
                levels.push(Level::Avx512);
            }
        }
    }
    levels
}

/// Runs `f`, which should be `#[inline(always)]` all the way down, compiled for the machine's vectors.
#[inline]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    match level() {
        // SAFETY: `level` is only ever one that this machine has.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { with_avx512(f) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { with_avx2(f) },
        _ => f(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Something to run with vectors of a level that only becomes known at run time.
pub trait Kernel {
    /// Does the work. Must be `#[inline(always)]`, to be compiled for each instruction set.
    ///
    /// # Safety
    /// The machine has `S`' instruction set, and what the kernel itself asks for.
    unsafe fn run<S: Simd>(self);
}

/// Runs a kernel at a level.
///
/// # Safety
/// The machine has that level, and what the kernel itself asks for is given.
#[inline]
pub unsafe fn dispatch(level: Level, kernel: impl Kernel) {
    match level {
        // SAFETY: the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { run_avx2(kernel) },
        // SAFETY: the caller's promise; the portable set is always there.
        _ => unsafe { kernel.run::<Portable>() },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2(kernel: impl Kernel) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn run_avx512(kernel: impl Kernel) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx512>() }
}

/// Floats that are worked on side by side.
///
/// # Safety of all methods
/// The machine has the instruction set; pointers are valid for `WIDTH` floats.
#[allow(clippy::missing_safety_doc)]
pub trait Vector: Copy {
    /// `WIDTH` floats.
    type Block: Copy;
    /// Floats: a divisor of 16.
    const WIDTH: usize;

    /// `WIDTH` times `value`.
    unsafe fn splat(value: f32) -> Self::Block;
    /// Reads.
    unsafe fn load(from: *const f32) -> Self::Block;
    /// Writes.
    unsafe fn store(to: *mut f32, block: Self::Block);
    /// `a + b`.
    unsafe fn add(a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a - b`.
    unsafe fn subtract(a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a · b + c`, rounded once where the machine can.
    unsafe fn multiply_add(a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block;
    /// The larger of each pair; `b` where one is no number.
    unsafe fn max(a: Self::Block, b: Self::Block) -> Self::Block;
    /// The smaller of each pair; `b` where one is no number.
    unsafe fn min(a: Self::Block, b: Self::Block) -> Self::Block;
    /// `value` where `gate` is positive, zero elsewhere.
    unsafe fn where_positive(gate: Self::Block, value: Self::Block) -> Self::Block;
}

/// An instruction set: vectors of sixteen floats in as many registers as they need.
pub trait Simd: Vector {
    /// What one register holds: for kernels that need many values at a time of each float.
    type Register: Vector;
    /// Pixels in the register tile of a convolution.
    const PIXELS: usize;
    /// Blocks of output channels in it.
    const OUTPUTS: usize;
    /// Rows of 16 in the register tile of a convolution's weight gradient.
    const ROWS: usize;
}

/// Plain Rust; the compiler finds the vectors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<const FLOATS: usize>;

/// Sixteen floats in plain Rust.
pub(crate) type Portable = Plain<LANES>;

impl Simd for Portable {
    type Register = Plain<4>;
    const PIXELS: usize = 2;
    const OUTPUTS: usize = 1;
    const ROWS: usize = 2;
}

impl<const FLOATS: usize> Vector for Plain<FLOATS> {
    type Block = [f32; FLOATS];
    const WIDTH: usize = FLOATS;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Block {
        [value; FLOATS]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Block {
        // SAFETY: valid for as many floats.
        unsafe { from.cast::<Self::Block>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, block: Self::Block) {
        // SAFETY: valid for as many floats.
        unsafe { to.cast::<Self::Block>().write_unaligned(block) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    unsafe fn subtract(a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }
    #[inline(always)]
    unsafe fn multiply_add(a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    unsafe fn max(a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    unsafe fn min(a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| if a[lane] < b[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    unsafe fn where_positive(gate: Self::Block, value: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| if gate[lane] > 0.0 { value[lane] } else { 0.0 })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Simd, Vector};
    use std::arch::x86_64::*;

    /// Two registers of eight.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx2;

    impl Simd for Avx2 {
        type Register = Ymm;
        const PIXELS: usize = 6;
        const OUTPUTS: usize = 1;
        const ROWS: usize = 6;
    }

    /// One register of sixteen.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx512;

    impl Simd for Avx512 {
        type Register = Self;
        const PIXELS: usize = 11;
        const OUTPUTS: usize = 2;
        const ROWS: usize = 24;
    }

    /// One register of eight.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Ymm;

    impl Vector for Avx2 {
        type Block = (__m256, __m256);
        const WIDTH: usize = 16;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self::Block {
            // SAFETY: the machine has AVX2.
            let half = unsafe { Ymm::splat(value) };
            (half, half)
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::Block {
            // SAFETY: the machine has AVX2; valid for 16 floats.
            unsafe { (Ymm::load(from), Ymm::load(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, block: Self::Block) {
            // SAFETY: the machine has AVX2; valid for 16 floats.
            unsafe {
                Ymm::store(to, block.0);
                Ymm::store(to.add(8), block.1);
            }
        }
        #[inline(always)]
        unsafe fn add(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { (Ymm::add(a.0, b.0), Ymm::add(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn subtract(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { (Ymm::subtract(a.0, b.0), Ymm::subtract(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn multiply_add(a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
            // SAFETY: the machine has FMA.
            unsafe { (Ymm::multiply_add(a.0, b.0, c.0), Ymm::multiply_add(a.1, b.1, c.1)) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { (Ymm::max(a.0, b.0), Ymm::max(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn min(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { (Ymm::min(a.0, b.0), Ymm::min(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn where_positive(gate: Self::Block, value: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { (Ymm::where_positive(gate.0, value.0), Ymm::where_positive(gate.1, value.1)) }
        }
    }

    impl Vector for Ymm {
        type Block = __m256;
        const WIDTH: usize = 8;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::Block {
            // SAFETY: the machine has AVX2; valid for 8 floats.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, block: Self::Block) {
            // SAFETY: the machine has AVX2; valid for 8 floats.
            unsafe { _mm256_storeu_ps(to, block) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn subtract(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn multiply_add(a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
            // SAFETY: the machine has FMA.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn min(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { _mm256_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn where_positive(gate: Self::Block, value: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX2.
            unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps()), value) }
        }
    }

    impl Vector for Avx512 {
        type Block = __m512;
        const WIDTH: usize = 16;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self::Block {
            // SAFETY: the machine has AVX-512.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::Block {
            // SAFETY: the machine has AVX-512; valid for 16 floats.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, block: Self::Block) {
            // SAFETY: the machine has AVX-512; valid for 16 floats.
            unsafe { _mm512_storeu_ps(to, block) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX-512.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn subtract(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX-512.
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn multiply_add(a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX-512.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX-512.
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn min(a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX-512.
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn where_positive(gate: Self::Block, value: Self::Block) -> Self::Block {
            // SAFETY: the machine has AVX-512.
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps()), value) }
        }
    }
}
