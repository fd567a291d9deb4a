//! What a builder left behind: are all outputs there, is nothing else there, and does each keep to its policy?
//!
//! In: the directory that was `/kiln/store` in the sandbox, and the staged outputs. Out: nothing, or the first [`StepError`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use walkdir::WalkDir;

use crate::archive::find_digest;
use crate::fsio::{IoResultExt, PathError};
use crate::model::{AllowedReference, Label, OutputName, ResolvedDerivation, STORE_DIR, StorePath, output_store_name};
use crate::store::{OutputTree, Staged, Store, StoreError};

use super::error::StepError;

/// The file by which an object says which root it needs to run.
pub const ROOT_MARK: &str = ".kiln-root";

/// The scratch path of each output, in the outputs' order.
///
/// # Errors
/// If an output's name is too long.
pub fn scratch_paths(resolved: &ResolvedDerivation) -> Result<BTreeMap<OutputName, StorePath>, StepError> {
    let path = |output: &OutputName| Ok::<_, StepError>(StorePath::scratch(&output_store_name(&resolved.name, output)?));
    resolved.outputs.keys().map(|output| Ok((output.clone(), path(output)?))).collect()
}

/// Removes what inputs were mounted on in the directory that was the sandbox's store, so that only the builder's own work is left there.
pub fn remove_mount_points(dir: &Path, inputs: &[StorePath]) {
    for input in inputs {
        let place = dir.join(input.base_name());
        // Empty directories, empty files and links. Should a builder have managed to put something else there, it stays and is found.
        if fs::remove_dir(&place).is_err() && place.symlink_metadata().is_ok_and(|found| found.len() == 0 || found.is_symlink()) {
            let _ = fs::remove_file(&place);
        }
    }
}

/// Finds the outputs in the directory that was the sandbox's store.
///
/// # Errors
/// If an output is missing, or something else is there.
pub fn collect(dir: &Path, scratch: &BTreeMap<OutputName, StorePath>) -> Result<Vec<OutputTree>, StepError> {
    for entry in fs::read_dir(dir).at("list", dir)? {
        let name = entry.at("list", dir)?.file_name();
        let expected = |name: &str| scratch.values().any(|path| path.base_name() == name);
        if !name.to_str().is_some_and(expected) {
            return Err(StepError::StrayEntry { entry: name.to_string_lossy().into_owned() });
        }
    }
    let tree = |(output, path): (&OutputName, &StorePath)| {
        let tree = dir.join(path.base_name());
        if tree.symlink_metadata().is_err() {
            return Err(StepError::MissingOutput { output: output.to_string() });
        }
        Ok(OutputTree { tree, name: path.name().clone(), scratch: Some(path.clone()) })
    };
    scratch.iter().map(tree).collect()
}

/// Checks each staged output against its policy.
///
/// # Errors
/// If one refers to what it may not, or holds a link and may not.
pub fn check_policies(
    store: &Store,
    resolved: &ResolvedDerivation,
    root: Option<&StorePath>,
    staged: &BTreeMap<OutputName, Staged>,
    closure_of: &dyn Fn(&StorePath) -> Result<Vec<StorePath>, StoreError>,
) -> Result<(), StepError> {
    for (output, policy) in &resolved.outputs {
        let Some(object) = staged.get(output) else { continue };
        if let (false, Some(link)) = (policy.links, &object.first_link) {
            return Err(StepError::ForbiddenLink { output: output.to_string(), link: link.clone() });
        }
        let Some(allowed) = &policy.references else { continue };
        let allowed = allowed_paths(resolved, root, staged, allowed, closure_of)?;
        if let Some(reference) = object.info.references.iter().find(|reference| !allowed.contains(*reference)) {
            let file =
                find_digest(&store.physical(&object.info.path), reference.digest(), 1).ok().and_then(|files| files.into_iter().next());
            return Err(StepError::ForbiddenReference { output: output.to_string(), reference: reference.clone(), file });
        }
    }
    Ok(())
}

fn allowed_paths(
    resolved: &ResolvedDerivation,
    root: Option<&StorePath>,
    staged: &BTreeMap<OutputName, Staged>,
    allowed: &BTreeSet<AllowedReference>,
    closure_of: &dyn Fn(&StorePath) -> Result<Vec<StorePath>, StoreError>,
) -> Result<BTreeSet<StorePath>, StepError> {
    let mut paths = BTreeSet::new();
    for one in allowed {
        let object = match one {
            AllowedReference::Itself => {
                paths.extend(staged.values().map(|object| object.info.path.clone()));
                continue;
            }
            AllowedReference::Root => root,
            AllowedReference::Input(label) => resolved.inputs.iter().find(|(name, _)| name.as_str() == label).map(|(_, path)| path),
        };
        if let Some(object) = object {
            paths.extend(closure_of(object)?);
        }
    }
    Ok(paths)
}

/// Refuses inputs that were made to run on another root than `root`.
///
/// # Errors
/// If one was.
pub fn check_input_roots(store: &Store, inputs: &BTreeMap<Label, StorePath>, root: &StorePath) -> Result<(), StepError> {
    for (label, input) in inputs {
        let Some(needs) = root_mark(&store.physical(input))? else { continue };
        if needs != root.to_string() {
            return Err(StepError::OtherRoot { input: label.to_string(), needs, has: root.clone() });
        }
    }
    Ok(())
}

/// What an object's mark says, if it has one. A builder made it: no link is followed to a file of this machine, and no more is read than a
/// store path takes.
fn root_mark(object: &Path) -> Result<Option<String>, PathError> {
    let path = object.join(ROOT_MARK);
    let is = |path: &Path, wanted: fn(&fs::Metadata) -> bool| match path.symlink_metadata() {
        Ok(metadata) => Ok(wanted(&metadata)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PathError::new("look at", path, error)),
    };
    if !is(object, fs::Metadata::is_dir)? || !is(&path, fs::Metadata::is_file)? {
        return Ok(None);
    }
    let mut mark = Vec::new();
    File::open(&path).at("open", &path)?.take(MARK_LIMIT).read_to_end(&mut mark).at("read", &path)?;
    Ok(Some(String::from_utf8_lossy(&mark).trim_end().to_owned()))
}

/// More bytes than a store path and a line's end have.
const MARK_LIMIT: u64 = 512;

/// Finds a program in a finished output that the root has to run, although the output does not carry its mark.
///
/// # Errors
/// If there is one, or the output cannot be read.
pub fn check_root_mark(output: &OutputName, tree: &Path) -> Result<(), StepError> {
    if root_mark(tree)?.is_some() {
        return Ok(());
    }
    for entry in WalkDir::new(tree).follow_root_links(false).sort_by_file_name() {
        let entry = entry.map_err(|error| PathError::new("read", tree, error))?;
        if !entry.file_type().is_file() || !is_executable(&entry)? {
            continue;
        }
        if let Some(interpreter) = interpreter(entry.path())?.filter(|path| !path.starts_with(STORE_DIR)) {
            let file = entry.path().strip_prefix(tree).unwrap_or(entry.path()).to_owned();
            return Err(StepError::UnmarkedRoot { output: output.to_string(), file, interpreter });
        }
    }
    Ok(())
}

fn is_executable(entry: &walkdir::DirEntry) -> Result<bool, PathError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = entry.metadata().map_err(|error| PathError::new("look at", entry.path(), error))?;
    Ok(metadata.permissions().mode() & 0o100 != 0)
}

/// Bytes at the start of a program within which its interpreter's name is looked for.
const HEAD: u64 = 64 * 1024;

/// Which program the kernel starts to run this one: of its `#!` line, or of its ELF header.
fn interpreter(path: &Path) -> Result<Option<String>, PathError> {
    let mut magic = [0u8; 4];
    let mut file = File::open(path).at("open", path)?;
    let count = file.read(&mut magic).at("read", path)?;
    if !magic[..count].starts_with(b"#!") && magic != elf::ELFMAG {
        return Ok(None);
    }
    let mut head = magic[..count].to_vec();
    file.take(HEAD).read_to_end(&mut head).at("read", path)?;
    Ok(match head.strip_prefix(b"#!") {
        Some(line) => {
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            String::from_utf8_lossy(line).split_whitespace().next().map(str::to_owned)
        }
        None => elf_interpreter(&head),
    })
}

fn elf_interpreter(head: &[u8]) -> Option<String> {
    let header = elf::FileHeader64::<object::Endianness>::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, head).ok()?;
    let name = segments.iter().find_map(|segment| segment.interpreter(endian, head).ok().flatten())?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Where things lie in a step's scratch directory.
#[derive(Clone, Debug)]
pub struct ScratchLayout {
    /// Becomes `/kiln/store`.
    pub store: PathBuf,
    /// Becomes `/build`.
    pub build: PathBuf,
    /// Becomes `/tmp`.
    pub tmp: PathBuf,
    /// The log, until it is moved.
    pub log: PathBuf,
}

impl ScratchLayout {
    /// What of it holds a builder's files.
    pub const ENTRIES: [&str; 3] = ["store", "build", "tmp"];

    /// The places below `dir`.
    pub fn below(dir: &Path) -> Self {
        Self { store: dir.join("store"), build: dir.join("build"), tmp: dir.join("tmp"), log: dir.join("log.zst") }
    }

    /// Makes the three directories.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn create(&self) -> Result<(), PathError> {
        for dir in [&self.store, &self.build, &self.tmp] {
            fs::create_dir(dir).at("create", dir)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn program(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_interpreter_of_scripts_and_programs_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(interpreter(&program(dir.path(), "a", b"#! /usr/bin/env python3\n")).unwrap().as_deref(), Some("/usr/bin/env"));
        assert_eq!(interpreter(&program(dir.path(), "b", b"#!")).unwrap(), None);
        assert_eq!(interpreter(&program(dir.path(), "c", b"\x7fELF rubbish")).unwrap(), None);
        assert_eq!(interpreter(&program(dir.path(), "d", b"text")).unwrap(), None);
        let own = interpreter(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert!(own.contains("/ld-"), "{own}");
    }

    #[test]
    fn a_program_of_the_root_needs_a_mark() {
        let dir = tempfile::tempdir().unwrap();
        program(dir.path(), "tool", b"#!/bin/sh\n");
        let error = check_root_mark(&OutputName::out(), dir.path()).unwrap_err().to_string();
        assert!(error.contains("`tool`") && error.contains("/bin/sh"), "{error}");
        fs::write(dir.path().join(ROOT_MARK), "x").unwrap();
        check_root_mark(&OutputName::out(), dir.path()).unwrap();
    }

    #[test]
    fn a_script_that_cannot_be_executed_needs_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("module.py"), "#!/usr/bin/env python3\n").unwrap();
        check_root_mark(&OutputName::out(), dir.path()).unwrap();
    }

    #[test]
    fn a_mark_that_is_a_link_or_endless_tells_nothing_of_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let object = dir.path().join("object");
        fs::create_dir(&object).unwrap();
        std::os::unix::fs::symlink("../secret", object.join(ROOT_MARK)).unwrap();
        assert_eq!(root_mark(&object).unwrap(), None);
        let link = dir.path().join("link");
        fs::write(dir.path().join(ROOT_MARK), "x".repeat(1000)).unwrap();
        std::os::unix::fs::symlink(".", &link).unwrap();
        assert_eq!(root_mark(&link).unwrap(), None);
        assert_eq!(root_mark(dir.path()).unwrap().unwrap().len(), 512);
    }

    #[test]
    fn mount_points_go_and_what_a_builder_made_stays() {
        let dir = tempfile::tempdir().unwrap();
        let inputs: Vec<StorePath> = ["dir", "file", "link", "full"].map(|name| StorePath::scratch(&name.parse().unwrap())).into();
        let place = |index: usize| dir.path().join(inputs[index].base_name());
        fs::create_dir(place(0)).unwrap();
        fs::write(place(1), "").unwrap();
        std::os::unix::fs::symlink("somewhere", place(2)).unwrap();
        fs::create_dir_all(place(3).join("work")).unwrap();
        remove_mount_points(dir.path(), &inputs);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [place(3)]);
    }

    #[test]
    fn anything_beside_the_outputs_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = StorePath::scratch(&"x".parse().unwrap());
        let scratch = BTreeMap::from([(OutputName::out(), path.clone())]);
        assert!(matches!(collect(dir.path(), &scratch), Err(StepError::MissingOutput { .. })));
        fs::write(dir.path().join(path.base_name()), "").unwrap();
        assert_eq!(collect(dir.path(), &scratch).unwrap().len(), 1);
        fs::write(dir.path().join("extra"), "").unwrap();
        assert!(matches!(collect(dir.path(), &scratch), Err(StepError::StrayEntry { entry }) if entry == "extra"));
    }
}
