//! Starlark's errors in kiln's terms: a message, the calls that led there, a hint.

use starlark::codemap::FileSpan;
use starlark::{Error, ErrorKind};

use super::refusal::Refusal;
use super::session::span_of;
use super::{Frame, RecipeFailure};

/// Longest part of a source line that is shown.
const LONGEST_LINE: usize = 160;

/// The failure that an error of the interpreter is.
pub(super) fn failure(error: &Error) -> Box<RecipeFailure> {
    let refusal = match error.kind() {
        ErrorKind::Other(inner) | ErrorKind::Native(inner) => inner.downcast_ref::<Refusal>(),
        _ => None,
    };
    let message = match error.kind() {
        ErrorKind::Fail(inner) => inner.to_string().trim().to_owned(),
        kind => plain(&kind.to_string()),
    };
    let hint = refusal.and_then(Refusal::hint).or_else(|| hint(error.kind(), &message));
    Box::new(RecipeFailure { message, frames: frames(error), hint, printed: Vec::new() })
}

/// The failure that a refusal outside any call is.
pub(super) fn refused(refusal: &Refusal) -> Box<RecipeFailure> {
    Box::new(RecipeFailure { message: refusal.to_string(), frames: Vec::new(), hint: refusal.hint(), printed: Vec::new() })
}

/// A place at the top level of a file.
pub(super) fn top_level(place: &FileSpan) -> Frame {
    frame(place, None)
}

fn frames(error: &Error) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut function: Option<String> = None;
    for call in &error.call_stack().frames {
        if let Some(place) = &call.location {
            frames.push(frame(place, function.take()));
        }
        // Names are `file.function` for functions of recipes.
        function = Some(call.name.rsplit('.').next().unwrap_or_default().to_owned());
    }
    if let Some(place) = error.span() {
        let last = frame(place, function);
        if frames.last().is_none_or(|frame| frame.span != last.span) {
            frames.push(last);
        }
    }
    frames
}

fn frame(place: &FileSpan, function: Option<String>) -> Frame {
    let resolved = place.resolve_span();
    let line = place.file.source_line(resolved.begin.line);
    let length = line.chars().count();
    let end = if resolved.end.line == resolved.begin.line { resolved.end.column } else { length };
    let width = end.min(length).min(LONGEST_LINE).saturating_sub(resolved.begin.column).max(1);
    Frame { span: span_of(place), function, line: line.chars().take(LONGEST_LINE).collect(), width }
}

/// Lower-cases the first letter and drops what the interpreter adds about itself.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Parse error: ").unwrap_or(message);
    let mut letters = message.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => first.to_lowercase().chain(letters).collect(),
        _ => message.to_owned(),
    }
}

fn hint(kind: &ErrorKind, message: &str) -> Option<String> {
    let text = match kind {
        ErrorKind::StackOverflow(_) => "Starlark allows no recursion without end; turn it into a loop over a list",
        _ if message.contains("referenced before assignment") => {
            "nothing can use itself in its own definition: an artifact names only artifacts that were made before it"
        }
        ErrorKind::Function(_) => "docs/recipes.md lists what kiln's functions take",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn messages_read_as_part_of_a_sentence() {
        assert_eq!(plain("Variable `x` not found"), "variable `x` not found");
        assert_eq!(plain("JSON is broken"), "JSON is broken");
        assert_eq!(plain("Parse error: unexpected `)`"), "unexpected `)`");
    }
}
