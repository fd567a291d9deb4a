//! How kiln speaks: colour only on a terminal, names from outside made harmless, data on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::env;
use super::failure::Failure;

/// Bad news.
pub const RED: Style = AnsiColor::Red.on_default().bold();
/// Good news.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Things to watch.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Names.
pub const BOLD: Style = Style::new().bold();
/// What may be skipped.
pub const DIM: Style = Style::new().dimmed();

/// What the user chose about output.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    /// Facts as JSON instead of text.
    pub json: bool,
    /// Builders' output as it comes.
    pub verbose: bool,
    /// Nothing but results and errors.
    pub quiet: bool,
}

impl Ui {
    /// Whether standard error is a terminal that may be drawn on.
    pub fn is_live(&self) -> bool {
        std::io::stderr().is_terminal() && !self.quiet && !self.verbose
    }

    /// Prints a fact, as JSON or as `text` renders it.
    ///
    /// # Errors
    /// If standard output cannot be written; a closed pipe is none.
    pub fn print<T: Serialize>(&self, fact: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let rendered = if self.json {
            let mut json = serde_json::to_string_pretty(fact).map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
            json.push('\n');
            json
        } else {
            text(fact)
        };
        print_text(&rendered)
    }

    /// Tells something on standard error, unless quiet.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            say(text);
        }
    }
}

/// Writes to standard output.
///
/// # Errors
/// If it cannot be written; a closed pipe is success, as for any filter.
pub fn print_text(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error. If that is closed there is nobody to tell.
pub fn say(text: impl Display) {
    // In one piece: lines of several processes must not be mixed, and the stripping of colours sees whole words.
    let line = format!("{text}\n");
    let _ = anstream::stderr().lock().write_all(line.as_bytes());
}

/// Decides once whether colour is used.
pub fn choose_color() {
    if env::no_color() {
        anstream::ColorChoice::Never.write_global();
    }
}

/// `text` in `style`.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A name from outside, with control characters escaped, so that it cannot drive the terminal.
pub fn harmless(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Characters of a line of a log that an error shows.
const SHOWN: usize = 400;

/// A line of a log for an error: harmless, and not longer than can be read.
pub fn excerpt(line: &str) -> String {
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} … ({} bytes)", harmless(&line[..end]), line.len()),
        None => harmless(line),
    }
}

/// `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `0.4 s`, `3 min 05 s`.
pub fn seconds(duration: std::time::Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// Lines up columns, two spaces between them; the last is left ragged.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!((bytes(999).as_str(), bytes(1536).as_str()), ("999 B", "1.5 KiB"));
        assert_eq!(seconds(Duration::from_millis(1449)), "1.4 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(harmless("a\u{1b}[31mb"), "a\\u{1b}[31mb");
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(table(&[vec!["a".into(), "b".into()], vec!["long".into(), "c".into()]]), "a     b\nlong  c\n");
    }
}
