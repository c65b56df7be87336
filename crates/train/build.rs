//! With the feature `cuda`: compiles the kernels of every folder below `src` that has a `cuda.cu` to
//! `$OUT_DIR/<folder>.ptx`. Without it: nothing.
//!
//! PTX is the driver's portable assembly, so one build serves every GPU from `CUDA_COMPUTE_CAP` (80: Ampere) on.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::time::SystemTime;
use std::{env, fs, io, thread};

/// Below it lie the kernels: of the ops, and the device's own.
const SOURCES: &str = "src";

/// Where the headers lie that kernels share.
const HEADERS: [&str; 2] = ["src/device/cuda", "src/ops"];

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return ExitCode::SUCCESS;
    }
    match compile_kernels() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn compile_kernels() -> Result<(), String> {
    // The folder, so that a new kernel is seen too. It changes with every Rust file in it; `compile` then finds its
    // PTX up to date.
    println!("cargo:rerun-if-changed={SOURCES}");
    for variable in ["CUDA_COMPUTE_CAP", "CUDA_ROOT"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    // What the program is linked with; cargo does not watch libraries.
    if let Some(root) = env::var_os("CUDA_ROOT") {
        println!("cargo:rerun-if-changed={}", Path::new(&root).join("lib64/libcuda.a").display());
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo only")?);
    let flags = flags();
    let sources = files_in(Path::new(SOURCES)).map_err(|error| format!("cannot list `{SOURCES}`: {error}"))?;
    let toolkit = nvcc(&["--version".into()])?;
    let changed = sources.iter().filter(|file| has_extension(file, "cuh")).filter_map(|file| modified(file)).max();
    let build = Build {
        stamp: format!("{flags:?}\n{}", String::from_utf8_lossy(&toolkit.stdout)),
        flags,
        out,
        headers_changed: changed,
    };

    let queue = Mutex::new(sources.iter().filter(|file| file.file_name().is_some_and(|name| name == "cuda.cu")));
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    let work = || {
        while let Some(source) = next() {
            build.compile(source)?;
        }
        Ok::<_, String>(())
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a compiling thread panicked".into())))
    })?;
    let ops = sources.iter().filter(|file| file.file_name().is_some_and(|name| name == "cuda.cu"));
    write_table(&ops.filter_map(|file| file.parent()?.file_name()?.to_str()).collect::<Vec<_>>(), &build.out)
}

/// `$OUT_DIR/kernels.rs`: the PTX of every folder and the names of its kernels, for `device/cuda/context.rs`.
fn write_table(ops: &[&str], out: &Path) -> Result<(), String> {
    let mut table = String::from("const MODULES: &[Module] = &[\n");
    for op in ops {
        let file = out.join(op).with_extension("ptx");
        let ptx = fs::read_to_string(&file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
        let kernels = ptx.lines().filter_map(|line| Some(line.split_once(".entry ")?.1.trim_end_matches('(')));
        let kernels: Vec<&str> = kernels.collect();
        table += &format!("    Module {{ op: {op:?}, ptx: include_str!({file:?}), kernels: &{kernels:?} }},\n");
    }
    table += "];\n";
    let file = out.join("kernels.rs");
    fs::write(&file, table).map_err(|error| format!("cannot write `{}`: {error}", file.display()))
}

/// What all kernels of one build share.
struct Build {
    flags: Vec<String>,
    /// The flags and the compiler's version: PTX made with others is out of date.
    stamp: String,
    out: PathBuf,
    headers_changed: Option<SystemTime>,
}

impl Build {
    /// `src/…/<op>/cuda.cu` to `$OUT_DIR/<op>.ptx`, unless that is newer than its sources and made the same way.
    fn compile(&self, source: &Path) -> Result<(), String> {
        let op =
            source.parent().and_then(Path::file_name).ok_or_else(|| format!("`{}` has no op", source.display()))?;
        let ptx = self.out.join(op).with_extension("ptx");
        let stamp = ptx.with_extension("stamp");
        let made = modified(&ptx);
        let sources_changed = self.headers_changed.max(modified(source));
        if made.is_some() && made > sources_changed && fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == self.stamp)
        {
            return Ok(());
        }
        let mut arguments = self.flags.clone();
        arguments.extend(["-o".into(), ptx.display().to_string(), source.display().to_string()]);
        let output = nvcc(&arguments)?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Err(format!("nvcc cannot compile `{}`:\n{}", source.display(), String::from_utf8_lossy(&said)));
        }
        fs::write(&stamp, &self.stamp).map_err(|error| format!("cannot write `{}`: {error}", stamp.display()))
    }
}

fn flags() -> Vec<String> {
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".into());
    let mut flags = ["--ptx", "-O3", "-std=c++17", &format!("-arch=compute_{capability}")].map(String::from).to_vec();
    flags.extend(HEADERS.into_iter().flat_map(|folder| ["-I".to_owned(), folder.to_owned()]));
    flags
}

fn nvcc(arguments: &[String]) -> Result<Output, String> {
    Command::new("nvcc").args(arguments).output().map_err(|error| {
        format!(
            "cannot run nvcc, the CUDA compiler, which the feature `cuda` needs: {error}\n  \
             hint: run `make cuda-toolkit` once, then build with `make build CUDA=1`"
        )
    })
}

/// All files below `folder`, in the order of their paths.
fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.append(&mut files_in(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|data| data.modified()).ok()
}
