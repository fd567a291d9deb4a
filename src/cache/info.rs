//! `nix-cache-info`: what a cache says about itself.

use std::fmt;
use std::str::FromStr;

use crate::model::STORE_DIR;

/// The priority of a cache that states none.
pub const DEFAULT_PRIORITY: u32 = 50;

/// What a cache says about itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CacheInfo {
    /// The store directory that its objects are for.
    pub store_dir: String,
    /// Whether it likes to be asked for many objects.
    pub want_mass_query: bool,
    /// Lower is asked first.
    pub priority: u32,
}

impl Default for CacheInfo {
    /// What kiln writes into a new cache.
    fn default() -> Self {
        Self { store_dir: STORE_DIR.to_owned(), want_mass_query: true, priority: DEFAULT_PRIORITY }
    }
}

impl fmt::Display for CacheInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = u8::from(self.want_mass_query);
        writeln!(f, "StoreDir: {}\nWantMassQuery: {query}\nPriority: {}", self.store_dir, self.priority)
    }
}

impl FromStr for CacheInfo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut info = Self { store_dir: String::new(), want_mass_query: false, priority: DEFAULT_PRIORITY };
        for line in text.lines() {
            match line.split_once(':').map(|(key, value)| (key, value.trim())) {
                Some(("StoreDir", value)) => value.clone_into(&mut info.store_dir),
                Some(("WantMassQuery", value)) => info.want_mass_query = value == "1",
                Some(("Priority", value)) => {
                    info.priority = value.parse().map_err(|_| format!("its priority is `{}`", value.escape_debug()))?;
                }
                _ => {}
            }
        }
        if info.store_dir.is_empty() { Err("its `nix-cache-info` names no store directory".to_owned()) } else { Ok(info) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_prints_and_what_others_print() {
        let ours = CacheInfo::default();
        assert_eq!(ours.to_string(), "StoreDir: /kiln/store\nWantMassQuery: 1\nPriority: 50\n");
        assert_eq!(ours.to_string().parse(), Ok(ours));
        let nix: CacheInfo = "StoreDir: /nix/store\nPriority: 40\nNew: x\n".parse().unwrap();
        assert_eq!((nix.store_dir.as_str(), nix.priority, nix.want_mass_query), ("/nix/store", 40, false));
        assert!("<html>".parse::<CacheInfo>().is_err() && "StoreDir: /x\nPriority: -1\n".parse::<CacheInfo>().is_err());
    }
}
