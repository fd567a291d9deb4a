//! What a builder prints: written to a compressed file as it comes, its last lines kept for an error, each line passed on.
//!
//! Memory is bounded: an endless line is cut into pieces.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::fsio::{IoResultExt, PathError};

/// Lines that are kept for an error.
const TAIL_LINES: usize = 25;
/// Bytes after which a line is cut.
const LINE_LIMIT: usize = 16 * 1024;
/// zstd's level: logs are written while compilers run, so cheap.
const LEVEL: i32 = 3;

/// Takes a builder's output.
pub struct LogWriter {
    path: PathBuf,
    encoder: Option<zstd::Encoder<'static, File>>,
    tail: VecDeque<String>,
    line: Vec<u8>,
}

impl LogWriter {
    /// A log that will be written to `path` once there is something to write.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), encoder: None, tail: VecDeque::new(), line: Vec::new() }
    }

    /// Takes output in; `on_line` sees each line that it completes.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn take(&mut self, bytes: &[u8], mut on_line: impl FnMut(&str)) -> Result<(), PathError> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            empty => {
                let file = File::create(&self.path).at("create the log", &self.path)?;
                empty.insert(zstd::Encoder::new(file, LEVEL).at("compress the log", &self.path)?)
            }
        };
        encoder.write_all(bytes).at("write the log", &self.path)?;
        for byte in bytes {
            if *byte == b'\n' || self.line.len() >= LINE_LIMIT {
                self.end_line(&mut on_line);
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        Ok(())
    }

    /// Ends the log. Gives its last lines, and its path if anything was written.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn finish(mut self, on_line: impl FnMut(&str)) -> Result<FinishedLog, PathError> {
        if !self.line.is_empty() {
            self.end_line(on_line);
        }
        let file = match self.encoder.take() {
            Some(encoder) => {
                encoder.finish().at("write the log", &self.path)?;
                Some(self.path)
            }
            None => None,
        };
        Ok(FinishedLog { file, tail: self.tail.into() })
    }

    fn end_line(&mut self, mut on_line: impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.line).trim_end_matches('\r').to_owned();
        self.line.clear();
        on_line(&text);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text);
    }
}

/// A log that is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinishedLog {
    /// The compressed file; none if the builder printed nothing.
    pub file: Option<PathBuf>,
    /// Its last lines.
    pub tail: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_everything_and_the_tail_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.zst");
        let mut log = LogWriter::new(&path);
        let mut seen = 0;
        for line in 0..100 {
            log.take(format!("line {line}\r\n").as_bytes(), |_| seen += 1).unwrap();
        }
        log.take(b"no end", |_| seen += 1).unwrap();
        let finished = log.finish(|_| seen += 1).unwrap();
        assert_eq!((seen, finished.tail.len(), finished.tail.last().unwrap().as_str()), (101, TAIL_LINES, "no end"));
        let text = zstd::decode_all(File::open(&path).unwrap()).unwrap();
        assert!(text.starts_with(b"line 0\r\nline 1\r\n") && text.ends_with(b"no end"));
    }

    #[test]
    fn a_silent_builder_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.zst");
        assert_eq!(LogWriter::new(&path).finish(|_| ()).unwrap(), FinishedLog::default());
        assert!(!path.exists());
    }

    #[test]
    fn an_endless_line_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogWriter::new(&dir.path().join("log.zst"));
        let mut longest = 0;
        log.take(&vec![b'x'; 100_000], |line| longest = longest.max(line.len())).unwrap();
        assert_eq!(longest, LINE_LIMIT);
    }
}
