//! Removes from the compiler's output what depends on the machine, and what depends on the line numbers of other files.

use std::path::Path;

use crate::rustc::workspace;

/// The errors, with the paths of other files shortened, and without the code that the compiler quotes from those.
pub(crate) fn errors(stderr: &str) -> String {
    let stderr = stderr.replace("durable-macros/tests/", "tests/");
    let errors: Vec<String> = stderr.split("\n\n").map(error).filter(|it| !it.is_empty() && !is_summary(it)).collect();
    errors.join("\n\n") + "\n"
}

/// Whether a message is not about one error, but about all of them.
fn is_summary(message: &str) -> bool {
    ["error: aborting due to", "Some errors have detailed", "For more information about this error"]
        .iter()
        .any(|summary| message.starts_with(summary))
}

enum Line<'a> {
    /// `--> file:line:column`
    Location { arrow: &'a str, place: String, is_own: bool },
    /// Quoted code, with its line number or without: `12 | let x = 1;`.
    Code { number: &'a str, rest: &'a str },
    /// `= note: ..`
    Note(&'a str),
    /// The next line of a note.
    Continuation(&'a str),
    /// `...` between two quotes.
    Dots,
    /// A line without a margin: `error: ..`, `help: ..`.
    Header(&'a str),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let text = line.trim_start();
        let after_number = text.trim_start_matches(|it: char| it.is_ascii_digit());
        let number = &text[..text.len() - after_number.len()];
        if let Some((arrow @ ("-->" | ":::"), path)) = text.split_once(' ') {
            let (place, is_own) = place(path);
            return Self::Location { arrow, place, is_own };
        }
        match after_number.trim_start().as_bytes() {
            [b'|' | b'+' | b'-' | b'~', ..] => Self::Code { number, rest: after_number.trim_start() },
            [b'=', b' ', ..] => Self::Note(text),
            b"..." => Self::Dots,
            _ if text.len() == line.len() => Self::Header(line),
            _ => Self::Continuation(line),
        }
    }

    /// The margin is as wide as the longest line number.
    fn print(&self, width: usize, width_before: usize) -> String {
        match self {
            Self::Location { arrow, place, .. } => format!("{:width$}{arrow} {place}", ""),
            Self::Code { number, rest } => format!("{number:width$} {rest}"),
            Self::Note(text) => format!("{:width$} {text}", ""),
            Self::Continuation(line) => line.get(width_before.saturating_sub(width)..).unwrap_or(line).to_owned(),
            Self::Dots => "...".to_owned(),
            Self::Header(line) => (*line).to_owned(),
        }
    }
}

fn error(message: &str) -> String {
    let mut lines = Vec::new();
    let mut in_other_file = false;
    for line in message.lines().map(Line::parse) {
        match &line {
            Line::Location { is_own, .. } => in_other_file = !is_own,
            Line::Code { .. } | Line::Dots if in_other_file => continue,
            // They are about the file with the names of types that are too long to be shown.
            Line::Note(text) if text.contains("full name for the type") || text.contains("the full type name") => {
                continue;
            }
            Line::Code { .. } | Line::Dots => {}
            Line::Note(_) | Line::Continuation(_) | Line::Header(_) => in_other_file = false,
        }
        lines.push(line);
    }
    let numbers = lines.iter().map(|line| if let Line::Code { number, .. } = line { number.len() } else { 0 });
    let width = numbers.max().unwrap_or(0).max(1);
    let arrow = message.lines().find_map(|line| line.find("--> "));
    let printed: Vec<String> = lines.iter().map(|line| line.print(width, arrow.unwrap_or(width))).collect();
    printed.join("\n").trim_end().to_owned()
}

/// A place in a case as it is, or the shortened path of another file; and whether it is in a case.
fn place(path: &str) -> (String, bool) {
    if path.starts_with("tests/") {
        return (path.to_owned(), true);
    }
    let file = path.split(':').next().unwrap_or(path);
    let short = if let Some((_, library)) = file.split_once("/library/") {
        format!("$RUST/{library}")
    } else {
        // Only the crate, so that files of the engine can move.
        let inside = Path::new(file).strip_prefix(workspace()).unwrap_or(Path::new(file));
        let first = inside.iter().find(|it| *it != "/").unwrap_or_default();
        format!("$WORKSPACE/{}/..", first.display())
    };
    (short, false)
}
