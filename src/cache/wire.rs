//! What kiln's own server offers beside files, and how it is told: the words that `http` and the server share.
//!
//! ```text
//! nix-cache-info has the line      Kiln: 1
//! POST kiln/missing                a JSON list of entries' names in, a JSON list of those that are not there out
//! GET  kiln/list?prefix=nar/       a JSON document a line, one for each entry: {"name", "size", "modified", "read"}, times in seconds since 1970
//! ```

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::backend::Listed;
use super::entry::{EntryName, EntryNameError};

/// Where names are asked for in bulk.
pub const MISSING: &str = "kiln/missing";

/// Where entries are listed.
pub const LIST: &str = "kiln/list";

/// Names that are asked for at once.
pub const MOST_NAMES: usize = 4_096;

/// The line of `nix-cache-info` by which kiln's own server is known.
pub const KILN: &str = "Kiln: 1";

/// Whether a `nix-cache-info` is that of kiln's own server.
pub fn is_kilns(cache_info: &[u8]) -> bool {
    String::from_utf8_lossy(cache_info).lines().any(|line| line.trim_end() == KILN)
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedLine {
    /// The entry's name.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// When it was last written, in seconds since 1970.
    pub modified: u64,
    /// When it was last read, if that is known.
    #[serde(default)]
    pub read: Option<u64>,
}

impl From<&Listed> for ListedLine {
    fn from(listed: &Listed) -> Self {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let Listed { name, size, modified, read } = listed;
        Self { name: name.to_string(), size: *size, modified: seconds(*modified), read: read.map(seconds) }
    }
}

impl TryFrom<ListedLine> for Listed {
    type Error = EntryNameError;

    fn try_from(line: ListedLine) -> Result<Self, EntryNameError> {
        // No time is so late that it could not be added: later ones are cut to the year 9999.
        let time = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799));
        let name: EntryName = line.name.parse()?;
        Ok(Self { name, size: line.size, modified: time(line.modified), read: line.read.map(time) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back_and_bad_ones_refused() {
        let line = ListedLine { name: "nar/x".to_owned(), size: 3, modified: 7, read: None };
        let listed = Listed::try_from(line.clone()).unwrap();
        assert_eq!(ListedLine::from(&listed), line);
        assert!(Listed::try_from(ListedLine { name: "../x".to_owned(), ..line.clone() }).is_err());
        assert!(Listed::try_from(ListedLine { modified: u64::MAX, ..line }).is_ok());
    }

    #[test]
    fn kilns_server_is_known_by_its_line() {
        assert!(is_kilns(b"StoreDir: /kiln/store\nKiln: 1\n"));
        assert!(!is_kilns(b"StoreDir: /kiln/store\nX: Kiln: 1\nKiln: 12\n"));
    }
}
