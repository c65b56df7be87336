//! Collects the files below class directories: the one walk that all programs share.
//!
//! Each directory is visited once, whatever links lead to it, and belongs to one class. First come the directories
//! that really lie below the classes, then those outside to which links lead. So a link into a directory that a class
//! really holds never moves images from one class to another, and the order in which a system lists names decides
//! nothing: an outside directory to which links of two classes lead belongs to neither, and that is said. Considered
//! against it: following links as they come (the first class gets the images), and following none (data sets whose
//! classes are links are common).
//!
//! The walk is a loop, not a recursion, looks once at each directory and each link, and ends when the process is asked
//! to.

use super::layout::{is_hidden, name_of};
use crate::stage::error::Context;
use crate::stage::{interrupt, names};
use crate::{Error, Result, note};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

/// Levels of directories below a class. Nobody sorts images so deep, and paths of a few thousand levels are longer
/// than systems take (4,096 bytes); a limit that does not depend on the names' lengths can be told, and keeps each
/// look at a path short.
pub(crate) const MOST_LEVELS: usize = 256;

/// Warnings of one kind that are shown; of more the number.
const SHOWN: usize = 10;

/// Where a walk begins: a directory whose files belong together, a class for example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The directory, or a link to one.
    pub path: PathBuf,
    /// What the names of its files begin with: empty, or ending in `/`.
    pub prefix: String,
    /// What to call it in warnings.
    pub class: String,
}

/// A file below a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name: the start's prefix and the path below it, with `/` between its parts.
    pub source: String,
    /// Where it is.
    pub path: PathBuf,
    /// Index of the start.
    pub start: usize,
}

/// What a walk has found.
#[derive(Debug, Default)]
pub struct Walk {
    /// In no particular order. Links to nowhere are among them.
    pub files: Vec<Found>,
    /// Hidden files and directories, which are passed over.
    pub hidden: usize,
    /// Pipes, sockets and devices: never opened, for some of them block.
    pub special: usize,
    warnings: Vec<String>,
}

/// A directory or file, whatever its name.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

/// A directory to visit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    level: usize,
    /// The name with a `/` at the end.
    prefix: String,
    path: PathBuf,
    start: usize,
}

/// Whose a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Start(usize),
    /// The programs' own output, or a directory that holds the starts.
    Reserved,
    /// Links of several starts lead here.
    Several,
}

/// A visited directory.
struct Visited {
    owner: Owner,
    /// It lies below a start without a link in between.
    real: bool,
    visit: Visit,
    files: Vec<Found>,
    directories: Vec<Visit>,
    /// Links to directories.
    links: Vec<Visit>,
}

impl Visited {
    /// As if empty.
    fn new(owner: Owner, real: bool, visit: Visit) -> Self {
        Self { owner, real, visit, files: Vec::new(), directories: Vec::new(), links: Vec::new() }
    }
}

/// Walks over all that lies below `starts`, which are directories in `root` or `root` itself. Into the directories
/// `reserved`, and those that hold `root`, it goes by no link.
///
/// # Errors
/// A directory that cannot be read, or lies more than [`MOST_LEVELS`] below its start; an interruption.
pub fn walk(root: &Path, starts: &[Start], reserved: &[&Path]) -> Result<Walk> {
    let mut walker = Walker::default();
    walker.reserve(root, starts, reserved);
    let (mut real, mut linked) = (VecDeque::new(), Vec::new());
    for (index, start) in starts.iter().enumerate() {
        let visit = Visit { level: 0, prefix: start.prefix.clone(), path: start.path.clone(), start: index };
        let is_link = start.path != root && fs::symlink_metadata(&start.path).is_ok_and(|found| found.is_symlink());
        if is_link { linked.push(visit) } else { real.push_back(visit) }
    }
    walker.visit_all(real, true, starts)?;
    linked.append(&mut walker.links);
    // Links within what links lead to are followed in turn, level by level.
    while !linked.is_empty() {
        linked.sort();
        walker.visit_all(std::mem::take(&mut linked).into(), false, starts)?;
        linked.append(&mut walker.links);
    }
    walker.finish(starts)
}

#[derive(Default)]
struct Walker {
    walk: Walk,
    visited: HashMap<Identity, Visited>,
    /// Links to directories that have not been followed yet.
    links: Vec<Visit>,
    /// What links to files lead to, by the link.
    file_links: HashMap<PathBuf, Identity>,
}

impl Walker {
    /// Marks the directories above the starts, which hold other classes, and the programs' output.
    fn reserve(&mut self, root: &Path, starts: &[Start], reserved: &[&Path]) {
        let above = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let parents = starts.iter().filter(|start| start.path != root).filter_map(|start| start.path.parent());
        let parents: BTreeSet<&Path> = parents.collect();
        let whole = if starts.iter().any(|start| start.path == root) { 1 } else { 0 };
        let all = above.ancestors().skip(whole).chain(parents).chain(reserved.iter().copied());
        for path in all {
            if let Ok(metadata) = fs::metadata(path) {
                let visit = Visit { level: 0, prefix: String::new(), path: path.to_owned(), start: usize::MAX };
                self.visited.insert(identity(path, &metadata), Visited::new(Owner::Reserved, true, visit));
            }
        }
    }

    fn visit_all(&mut self, mut queue: VecDeque<Visit>, real: bool, starts: &[Start]) -> Result<()> {
        while let Some(visit) = queue.pop_front() {
            interrupt::check()?;
            let cannot = || format!("cannot read the directory `{}`", short(&visit.path));
            let metadata = fs::metadata(&visit.path).context(cannot)?;
            let identity = identity(&visit.path, &metadata);
            match self.visited.get_mut(&identity) {
                Some(seen) if meets_another(seen, &visit, real) => {
                    seen.owner = Owner::Several;
                    let other = |below: &Visit| Visit { start: visit.start, ..below.clone() };
                    queue.extend(seen.directories.iter().map(other));
                    self.links.extend(seen.links.iter().map(other));
                }
                Some(seen) if seen.owner == Owner::Several => {}
                Some(seen) => self.walk.warnings.push(passed_over(&visit, seen, starts)),
                None => {
                    let visited = self.list(visit, real)?;
                    queue.extend(visited.directories.iter().cloned());
                    self.links.extend(visited.links.iter().cloned());
                    self.visited.insert(identity, visited);
                }
            }
        }
        Ok(())
    }

    /// Reads a directory that has not been visited.
    fn list(&mut self, visit: Visit, real: bool) -> Result<Visited> {
        let cannot = || format!("cannot read the directory `{}`", short(&visit.path));
        if visit.level > MOST_LEVELS {
            return Err(too_deep(&visit));
        }
        let entries = fs::read_dir(&visit.path).context(cannot)?;
        let mut visited = Visited::new(Owner::Start(visit.start), real, visit.clone());
        for (number, entry) in entries.enumerate() {
            if number % 1024 == 1023 {
                interrupt::check()?;
            }
            let entry = entry.context(cannot)?;
            if is_hidden(&entry.file_name()) {
                self.walk.hidden += 1;
            } else {
                let kind = entry.file_type().context(cannot)?;
                self.entry(&mut visited, &entry, kind);
            }
        }
        Ok(visited)
    }

    fn entry(&mut self, visited: &mut Visited, entry: &fs::DirEntry, kind: fs::FileType) {
        let Visit { level, start, ref prefix, .. } = visited.visit;
        let (path, source) = (entry.path(), format!("{prefix}{}", name_of(&entry.file_name())));
        let below = |path| Visit { level: level + 1, prefix: format!("{source}/"), path, start };
        if kind.is_dir() {
            visited.directories.push(below(path));
        } else if kind.is_file() {
            visited.files.push(Found { source, path, start });
        } else if kind.is_symlink() {
            match fs::metadata(&path) {
                Ok(target) if target.is_dir() => visited.links.push(below(path)),
                Ok(target) if !target.is_file() => self.walk.special += 1,
                target => {
                    // A link to nowhere is for decoding to reject by name, if it claims to be an image.
                    if let Ok(target) = target {
                        self.file_links.insert(path.clone(), identity(&path, &target));
                    }
                    visited.files.push(Found { source, path, start });
                }
            }
        } else {
            self.walk.special += 1;
        }
    }

    /// Gathers the files of the directories that belong to one start.
    fn finish(mut self, starts: &[Start]) -> Result<Walk> {
        let mut several = BTreeSet::new();
        for visited in std::mem::take(&mut self.visited).into_values() {
            match visited.owner {
                Owner::Start(_) => self.walk.files.extend(visited.files),
                Owner::Several => _ = several.insert(visited.visit.path),
                Owner::Reserved => {}
            }
        }
        let highest = several.iter().filter(|path| !path.parent().is_some_and(|above| several.contains(above)));
        self.walk.warnings.extend(highest.map(|path| {
            let path = names::path(path);
            format!("links of several classes lead to what `{path}` leads to: its images belong to none of them")
        }));
        self.warn_of_shared_files(starts);
        let warnings = &mut self.walk.warnings;
        warnings.sort();
        for warning in warnings.iter().take(SHOWN) {
            note!("warning: {warning}");
        }
        if warnings.len() > SHOWN {
            note!("warning: {} more links like these", warnings.len() - SHOWN);
        }
        Ok(self.walk)
    }

    /// One file that is in two classes is learnt as both.
    fn warn_of_shared_files(&mut self, starts: &[Start]) {
        if self.file_links.is_empty() {
            return;
        }
        let linked: HashSet<&Identity> = self.file_links.values().collect();
        let mut ways: HashMap<Identity, Vec<&Found>> = HashMap::new();
        for file in &self.walk.files {
            let target = self.file_links.get(&file.path).cloned();
            let target = target.or_else(|| Some(identity(&file.path, &fs::symlink_metadata(&file.path).ok()?)));
            if let Some(target) = target.filter(|target| linked.contains(target)) {
                ways.entry(target).or_default().push(file);
            }
        }
        for mut files in ways.into_values() {
            files.sort_by(|a, b| a.source.cmp(&b.source));
            let class = |file: &Found| &starts[file.start].class;
            if let Some(other) = files.iter().find(|file| class(file) != class(files[0])) {
                let (a, b) = (names::shown(&files[0].source), names::shown(&other.source));
                self.walk.warnings.push(format!("`{a}` and `{b}` are one file, by a link: it is in two classes"));
            }
        }
    }
}

/// Whether this is the first way to a directory from a second start. A way by a link does not count where there is one
/// without.
fn meets_another(seen: &Visited, visit: &Visit, real: bool) -> bool {
    seen.real == real && matches!(seen.owner, Owner::Start(owner) if owner != visit.start)
}

/// The beginning of a path, which may be thousands of characters long.
fn short(path: &Path) -> String {
    const MOST: usize = 200;
    let path = names::path(path);
    match path.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path,
    }
}

/// Why a link is not followed.
fn passed_over(visit: &Visit, seen: &Visited, starts: &[Start]) -> String {
    let link = names::path(&visit.path);
    match seen.owner {
        Owner::Reserved => {
            format!("`{link}` leads to `{}`, which is no class's, and is passed over", names::path(&seen.visit.path))
        }
        Owner::Start(owner) if owner != visit.start => format!(
            "`{link}` leads to `{}`, which belongs to the class `{}`, and is passed over",
            names::path(&seen.visit.path),
            names::shown(&starts[owner].class)
        ),
        _ => format!("`{link}` leads to `{}`, whose files are there already", names::path(&seen.visit.path)),
    }
}

fn too_deep(visit: &Visit) -> Error {
    Error::new(format!("`{}` lies too deep", short(&visit.path)))
        .because(format!("it is more than {MOST_LEVELS} levels of directories below its class"))
        .hint("move its images further up, or give one of the directories a name with a leading dot, which hides it")
}

#[cfg(unix)]
fn identity(_path: &Path, metadata: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(path: &Path, _metadata: &fs::Metadata) -> Identity {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
