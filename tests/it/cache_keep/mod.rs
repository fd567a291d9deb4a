//! Keeping a cache in order: `kiln cache ls`, `verify`, `pin`, `unpin`, `pins` and `gc`, on objects that kiln built.

mod listing;
mod making_room;
mod verifying;

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use kiln::model::{Compression, NarInfo, PathInfo, Sha256, StorePath};

use crate::support::{Outcome, Project};

const DAY: Duration = Duration::from_secs(24 * 3600);

const SEVERAL: &str = r#"
base = sh("base", "echo base > $out")
top = sh("top", "mkdir $out; echo $base > $out/base; echo $out > $out/self", inputs = {"base": base})
alone = sh("alone", "echo alone > $out")
targets = {"base": base, "top": top, "alone": alone}
"#;

/// A project with `base`, `top` (which refers to `base` and to itself) and `alone` built, and a cache that holds them.
struct Cache {
    project: Project,
    base: StorePath,
    top: StorePath,
    alone: StorePath,
}

impl Cache {
    fn new() -> Self {
        let project = Project::new().recipe(SEVERAL);
        let out = project.kiln(["build", "base", "top", "alone"]).success().out;
        let mut paths = out.lines().map(|line| StorePath::from_base_name(line.rsplit('/').next().unwrap()).unwrap());
        let mut next = || paths.next().unwrap();
        let cache = Self { base: next(), top: next(), alone: next(), project };
        cache.write("nix-cache-info", "StoreDir: /kiln/store\n");
        [&cache.base, &cache.top, &cache.alone].into_iter().for_each(|path| cache.push(path));
        cache
    }

    fn file(&self, name: &str) -> PathBuf {
        self.project.dir().join("cache").join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.project.dir().join("cache").display())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let file = self.file(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Puts an object into the cache as the format says, without any code of kiln's caches.
    fn push(&self, path: &StorePath) {
        let described = self.project.kiln(["store", "info", "--json", path.digest().as_str()]).success().json();
        let info: PathInfo = serde_json::from_value(described).unwrap();
        let dump = self.project.command(["store", "dump", path.digest().as_str()]).output().unwrap();
        let packed = zstd::encode_all(dump.stdout.as_slice(), 3).unwrap();
        let file_hash = Sha256::of(&packed);
        let url = format!("nar/{}.nar.zst", file_hash.base32());
        self.write(&url, &packed);
        let narinfo = NarInfo {
            path: info.path,
            url,
            compression: Compression::Zstd,
            file_hash: Some(file_hash),
            file_size: Some(packed.len() as u64),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references,
            deriver: None,
            signatures: Vec::new(),
            ca: Some(info.ca),
        };
        self.write(&Self::entry(path), narinfo.to_string());
    }

    fn entry(path: &StorePath) -> String {
        format!("{}.narinfo", path.digest())
    }

    fn nar(&self, path: &StorePath) -> String {
        let text = fs::read_to_string(self.file(&Self::entry(path))).unwrap();
        text.parse::<NarInfo>().unwrap().url
    }

    fn has(&self, path: &StorePath) -> bool {
        self.file(&Self::entry(path)).exists()
    }

    /// Makes objects look as if they had been written and read that long ago.
    fn age(&self, paths: &[&StorePath], age: Duration) {
        for path in paths {
            for entry in [self.nar(path), Self::entry(path)] {
                let then = SystemTime::now() - age;
                File::open(self.file(&entry)).unwrap().set_times(FileTimes::new().set_modified(then).set_accessed(then)).unwrap();
            }
        }
    }

    /// `kiln cache COMMAND URL MORE…`
    fn kiln(&self, command: &str, more: &[&str]) -> Outcome {
        let url = self.url();
        self.project.kiln([&["cache", command, url.as_str()], more].concat())
    }

    /// The file names of all entries below a directory of the cache.
    fn names(&self, dir: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.file(dir)).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}
