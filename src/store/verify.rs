//! Checks that the store is what the database says.
//!
//! That every reference is valid needs no check here: the database refuses anything else. Many objects are read at once; nobody is held up.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, place};
use crate::archive::{ReferenceIndex, ScanRequest, scan};
use crate::model::{ContentAddress, PathInfo, Sha256, StorePath};

/// What to check.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Read every object and compare its hash; otherwise only names, references and presence are checked.
    pub contents: bool,
    /// Which objects; `None` for all.
    pub paths: Option<Vec<StorePath>>,
}

/// Something wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Problem {
    /// It is valid, but not on the disk.
    Missing {
        /// The object.
        path: StorePath,
    },
    /// Its bytes have changed.
    Changed {
        /// The object.
        path: StorePath,
        /// The NAR hash that was registered.
        registered: Sha256,
        /// The NAR hash that it has.
        found: Sha256,
    },
    /// Its path does not follow from its content address and references.
    WrongPath {
        /// The object.
        path: StorePath,
    },
    /// It cannot be read.
    Unreadable {
        /// The object.
        path: StorePath,
        /// Why.
        why: String,
    },
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Objects checked.
    pub objects: u64,
    /// Bytes of NARs read.
    pub bytes: u64,
    /// What is wrong, ordered by path.
    pub problems: Vec<Problem>,
}

impl Problem {
    /// The object that has it.
    pub fn path(&self) -> &StorePath {
        match self {
            Self::Missing { path } | Self::Changed { path, .. } | Self::WrongPath { path } | Self::Unreadable { path, .. } => path,
        }
    }
}

impl Store {
    /// Checks the store. Problems are no errors: they are in the report.
    ///
    /// # Errors
    /// If the database cannot be read, or a path of the options is not valid.
    pub fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        match &options.paths {
            Some(paths) => {
                for path in paths {
                    let info = self.info(path)?.ok_or_else(|| StoreError::NotValid { path: path.clone() })?;
                    self.check_page(&[info], options.contents, &mut report);
                }
            }
            None => {
                let mut page = self.page_after("")?;
                while let Some(last) = page.last() {
                    let last = last.path.digest().to_string();
                    self.check_page(&page, options.contents, &mut report);
                    page = self.page_after(&last)?;
                }
            }
        }
        // What was collected meanwhile is no problem.
        let valid = self.valid_among(report.problems.iter().map(Problem::path))?;
        report.problems.retain(|problem| valid.contains(problem.path()));
        report.problems.sort_by(|one, other| one.path().cmp(other.path()));
        Ok(report)
    }

    fn check_page(&self, page: &[PathInfo], contents: bool, report: &mut VerifyReport) {
        let next = AtomicUsize::new(0);
        let problems = Mutex::new(Vec::new());
        let work = || {
            while let Some(info) = page.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some(problem) = self.check(info, contents) {
                    problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
                }
            }
        };
        let threads = if contents { thread::available_parallelism().map_or(1, usize::from).min(page.len()) } else { 1 };
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        report.objects += page.len() as u64;
        report.bytes += if contents { page.iter().map(|info| info.nar_size).sum() } else { 0 };
        report.problems.extend(problems.into_inner().unwrap_or_else(PoisonError::into_inner));
    }

    fn check(&self, info: &PathInfo, contents: bool) -> Option<Problem> {
        let path = info.path.clone();
        if !info.path_is_consistent() {
            return Some(Problem::WrongPath { path });
        }
        match self.physical(&path).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Problem::Missing { path }),
            Err(error) => return Some(Problem::Unreadable { path, why: error.to_string() }),
            Ok(_) if !contents => return None,
            Ok(_) => {}
        }
        match self.hashes(info) {
            Err(error) => Some(Problem::Unreadable { path, why: error.to_string() }),
            Ok((found, _)) if found != info.nar_hash => Some(Problem::Changed { path, registered: info.nar_hash, found }),
            Ok((_, ca)) if ca != info.ca => Some(Problem::WrongPath { path }),
            Ok(_) => None,
        }
    }

    /// The NAR hash and the content address that an object's bytes have.
    fn hashes(&self, info: &PathInfo) -> Result<(Sha256, ContentAddress), StoreError> {
        let tree = self.physical(&info.path);
        if let ContentAddress::Flat(_) = info.ca {
            let (flat, nar_hash, _) = place::flat_hashes(&tree)?;
            return Ok((nar_hash, ContentAddress::Flat(flat)));
        }
        let own = info.refers_to_itself().then_some(info.path.digest());
        let scanned = scan(&tree, &ScanRequest { own, candidates: &ReferenceIndex::default() })?;
        Ok((scanned.nar_hash, ContentAddress::Recursive(scanned.modulo_hash)))
    }
}
