//! Keeps the index true: reads every description once in the background, and looks again for what others wrote or removed, a web server's
//! upload, a copy by hand, a collector.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cache::backend::Backend as _;
use crate::cache::directory::Directory;
use crate::cache::entry::EntryName;
use crate::cache::keep::PARTIAL_AGE;
use crate::model::StoreDigest;

use super::answer::Server;
use super::builds;
use super::content::Content;
use super::files::stamp;
use super::index::read_narinfo;

/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 50;
/// Descriptions that are taken in while readers wait.
const BATCH: usize = 256;

impl Server {
    /// Starts the threads that keep log and index current; they end soon after the server.
    pub(super) fn keep_house(self: &Arc<Self>) {
        let (scanner, flusher) = (self.clone(), self.clone());
        let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
        // Without them the page is empty and the log comes late, which is no reason not to serve.
        let _ = spawn("index").spawn(move || scanner.keep_scanning());
        let _ = spawn("log").spawn(move || {
            while !flusher.is_stopping() {
                thread::sleep(Duration::from_secs(1));
                flusher.flush_log();
            }
        });
    }

    fn keep_scanning(&self) {
        // What stays is looked at again with the next start.
        let _ = Directory::new(self.files.dir().to_owned()).tidy(PARTIAL_AGE);
        while !self.is_stopping() {
            let start = Instant::now();
            self.scan_objects();
            self.scan_builds();
            self.index.set_ready();
            let until = Instant::now() + self.limits.rescan.max(start.elapsed() * SHARE);
            while Instant::now() < until && !self.is_stopping() {
                thread::sleep(Duration::from_millis(200));
            }
        }
    }

    fn scan_objects(&self) {
        let (mut seen, mut batch) = (HashSet::new(), Vec::new());
        for entry in fs::read_dir(self.files.dir()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_str().and_then(|name| name.parse::<EntryName>().ok());
            let Some((name, digest)) = name.and_then(|name| name.described().map(|digest| (name, digest))) else { continue };
            seen.insert(digest);
            let current = entry.metadata().ok().and_then(|metadata| Some(stamp(metadata.modified().ok()?, metadata.len())));
            if current.is_some() && self.known(&digest) == current {
                continue;
            }
            batch.extend(read_narinfo(&self.files, &name));
            if batch.len() >= BATCH {
                self.take(&mut batch);
            }
            if self.is_stopping() {
                return;
            }
        }
        self.take(&mut batch);
        let unseen: Vec<StoreDigest> = {
            let objects = self.index.objects();
            objects.present().map(|(_, slot, _)| slot.digest).filter(|digest| !seen.contains(digest)).collect()
        };
        for digest in unseen {
            // Written while the directory was read, perhaps.
            if matches!(self.files.size(&EntryName::narinfo(&digest)), Ok(None)) {
                self.index.objects_mut().remove(&digest);
            }
        }
    }

    fn known(&self, digest: &StoreDigest) -> Option<super::index::Stamp> {
        let objects = self.index.objects();
        Some(objects.slot(objects.id(digest)?)?.object.as_ref()?.stamp)
    }

    fn take(&self, batch: &mut Vec<(crate::model::NarInfo, super::index::Stamp)>) {
        let mut objects = self.index.objects_mut();
        for (info, stamp) in batch.drain(..) {
            objects.insert(&info, stamp);
        }
    }

    fn scan_builds(&self) {
        let cache = Directory::new(self.files.dir().to_owned());
        for folder in ["kiln/traces/", "kiln/records/", "kiln/logs/"] {
            // What cannot be listed is not shown.
            let _ = cache.list(folder, &mut |listed| {
                let content = Content::of(&listed.name);
                if self.index.builds().stamp(&content) != Some(stamp(listed.modified, listed.size))
                    && let Some(said) = builds::read(&self.files, &listed.name, &content)
                {
                    self.index.builds_mut().insert(&content, said);
                }
                Ok(())
            });
        }
        let names = self.index.builds().names();
        for name in names.into_iter().filter(|name| matches!(self.files.size(name), Ok(None))) {
            self.index.builds_mut().remove(&Content::of(&name));
        }
    }
}
