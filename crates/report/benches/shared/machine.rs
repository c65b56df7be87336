//! What the figures were measured on.

use train::device::cpu::simd::{Level, level};

/// `AMD EPYC, 2 cores, 2 threads, AVX-512`.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = rayon::current_num_threads();
    format!("{}, {cores} cores, {threads} threads, {}", processor(), instructions())
}

/// The instruction set that the kernels use.
pub fn instructions() -> &'static str {
    match level() {
        Level::Reference => "reference loops",
        Level::Portable => "portable instructions",
        Level::Avx2 => "AVX2",
        Level::Avx512 => "AVX-512",
    }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    // A virtual machine may hide the model's name; family and model number tell Zen 4 from Zen 3 all the same.
    match (field("model name"), field("cpu family"), field("model")) {
        (Some(name), Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => format!("{} processor", std::env::consts::ARCH),
    }
}

/// Runs `work`, and every thread that it starts, on one core where the system can be told to; elsewhere it just runs.
pub fn on_one_core<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            pin_to_first_core();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(target_os = "linux")]
fn pin_to_first_core() {
    // SAFETY: a set of processors is plain numbers, all zero is the empty one, and the kernel only reads it.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed);
        let first = (0..libc::CPU_SETSIZE as usize).find(|&core| libc::CPU_ISSET(core, &allowed));
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(first.unwrap_or(0), &mut one);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn pin_to_first_core() {}
