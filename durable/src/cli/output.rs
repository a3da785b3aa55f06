//! Output: tables that fit the terminal, or JSON for programs.

use std::io::{IsTerminal, Write};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

use super::arguments::Format;
use super::columns;
use super::exit::{Exit, Failure, Result};

/// The width of output that goes to a file, to another program, or to a terminal without a width.
const WIDTH_WITHOUT_TERMINAL: u16 = 160;

/// How a command writes its result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    format: Format,
    colors: bool,
    terminal: bool,
}

/// The meaning of a word in a table, for its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Active,
    Warning,
    Bad,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        Self { format, colors: terminal && !no_color, terminal }
    }

    pub(super) fn is_json(self) -> bool {
        self.format != Format::Table
    }

    pub(super) fn format(self) -> Format {
        self.format
    }

    pub(super) fn is_terminal(self) -> bool {
        self.terminal
    }

    /// Writes rows: as a table with these headings, or as JSON values.
    pub(super) fn rows<T: Serialize>(
        self,
        headings: &[&str],
        rows: &[T],
        cells: impl Fn(&T) -> Vec<(String, Tone)>,
    ) -> Result<()> {
        match self.format {
            Format::Json => print_line(&to_json(&rows, true)?),
            Format::Jsonl => rows.iter().try_for_each(|it| print_line(&to_json(it, false)?)),
            Format::Table => {
                let mut table = Self::table();
                table.set_header(headings.iter().map(|it| self.heading(it)));
                for row in rows {
                    table.add_row(cells(row).into_iter().map(|(text, tone)| self.cell(&text, tone)));
                }
                let left_out = columns::fit(&mut table, headings, known_width(), WIDTH_WITHOUT_TERMINAL);
                Self::print_table(&table)?;
                if !left_out.is_empty() {
                    eprintln!("left out, because the lines are narrow: {}; -o json has all", left_out.join(", "));
                }
                Ok(())
            }
        }
    }

    /// Writes one thing: as a list of properties, or as a JSON value.
    pub(super) fn one<T: Serialize>(self, value: &T, properties: &[(&str, String, Tone)]) -> Result<()> {
        if self.is_json() {
            return print_line(&to_json(value, self.format == Format::Json)?);
        }
        let longest = properties.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
        let room = usize::from(width()).saturating_sub(longest + 4).max(20);
        let mut table = Self::table();
        for (name, text, tone) in properties {
            table.add_row([self.heading(name), self.cell(&wrapped(text, room), *tone)]);
        }
        // The lines are as long as they are to be: the table would break words that are longer.
        table.set_content_arrangement(ContentArrangement::Disabled);
        Self::print_table(&table)
    }

    /// Writes what a command did: a sentence, or a JSON value.
    pub(super) fn done<T: Serialize>(self, value: &T, sentence: &str) -> Result<()> {
        if self.is_json() { print_line(&to_json(value, self.format == Format::Json)?) } else { print_line(sentence) }
    }

    fn table() -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width());
        table
    }

    fn print_table(table: &Table) -> Result<()> {
        let lines: Vec<_> = table.lines().map(|it| it.trim_end().to_owned()).collect();
        if lines.is_empty() { Ok(()) } else { print_line(&lines.join("\n")) }
    }

    fn heading(self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.colors { cell.add_attribute(Attribute::Bold) } else { cell }
    }

    fn cell(self, text: &str, tone: Tone) -> Cell {
        let cell = Cell::new(text);
        let color = match tone {
            Tone::Good => Color::Green,
            Tone::Active => Color::Cyan,
            Tone::Warning => Color::Yellow,
            Tone::Bad => Color::Red,
            Tone::Plain => return cell,
        };
        if self.colors { cell.fg(color) } else { cell }
    }
}

/// How many columns the output has.
pub(super) fn width() -> u16 {
    known_width().unwrap_or(WIDTH_WITHOUT_TERMINAL)
}

/// The number of the variable `COLUMNS`, or else that of the terminal.
fn known_width() -> Option<u16> {
    let variable = std::env::var("COLUMNS").ok().and_then(|it| it.trim().parse().ok());
    // A terminal that does not know its width says 0.
    let terminal = || Some(Table::new()).filter(|_| std::io::stdout().is_terminal()).and_then(|it| it.width());
    variable.or_else(terminal).filter(|it| *it > 0)
}

/// The text in lines of this width. Words that are longer, such as ids, stay whole.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n') {
        lines.push(String::new());
        for word in line.split_inclusive(' ') {
            let last = lines.last_mut().expect("one was pushed");
            if !last.is_empty() && last.chars().count() + word.trim_end().chars().count() > width {
                lines.push(word.to_owned());
            } else {
                last.push_str(word);
            }
        }
    }
    lines.join("\n")
}

/// Writes a line. A reader that has gone away, such as `head`, is no error.
pub(super) fn print_line(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn to_json<T: Serialize + ?Sized>(value: &T, pretty: bool) -> Result<String> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    text.map_err(|error| Failure::new(Exit::Failed, format!("the result cannot be written as JSON: {error}")))
}
