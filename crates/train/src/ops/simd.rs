//! The instruction set, chosen at run time.

use std::sync::OnceLock;

/// Instruction sets that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the target always has: SSE2 on x86-64, NEON on AArch64.
    Portable,
    /// 16 registers of 8 floats, with fused multiply-add.
    Avx2,
    /// 32 registers of 16 floats.
    Avx512,
}

/// The environment variable that chooses a lower level: `portable`, `avx2` or `avx512`.
pub const LEVEL_VARIABLE: &str = "TRAIN_SIMD";

/// The best level of this machine, or the one that [`LEVEL_VARIABLE`] names if the machine has it.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let best = available().last().copied().unwrap_or(Level::Portable);
        match std::env::var(LEVEL_VARIABLE).as_deref() {
            Ok("portable") => Level::Portable,
            Ok("avx2") => best.min(Level::Avx2),
            _ => best,
        }
    })
}

/// All levels of this machine, lowest first.
pub fn available() -> Vec<Level> {
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
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
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
