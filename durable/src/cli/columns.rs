//! How the columns of a table share its width.

use comfy_table::{ColumnConstraint, Table, Width};

/// The headings of columns whose words have a bounded length: times, statuses, numbers. They are not broken over lines,
/// whatever the width is.
const FIXED: [&str; 32] = [
    "STATUS",
    "CREATED",
    "TOOK",
    "ATTEMPTS",
    "STATE",
    "RUNNING",
    "UP",
    "WAITING",
    "DELAYED",
    "LAG",
    "LAST",
    "NEXT",
    "FROM",
    "PRODUCTION",
    "DEFAULT",
    "EXECUTORS",
    "PENDING",
    "ENQUEUED",
    "PARKED",
    "OLDEST",
    "OUTCOME",
    "VERDICT",
    "POSITION",
    "KIND",
    "TIME",
    "SENT",
    "RECEIVED",
    "SET AT",
    "WRITTEN",
    "PRIORITY",
    "CHECK",
    "CRON",
];
/// The headings of columns that are left out where the width is too small, the first of them first.
const DISPENSABLE: [&str; 15] = [
    "TIME", "ATTEMPTS", "TOOK", "EXECUTOR", "ZONE", "FROM", "LAST", "WORKFLOW", "OLDEST", "LIMITS", "UP", "HOST",
    "QUEUE", "KIND", "CREATED",
];
/// The heading of the column whose words a person copies. They are whole wherever there is room.
const COPIED: &str = "ID";
/// How narrow a column becomes that is broken over lines.
const NARROWEST: usize = 10;
/// What separates a column from the next one.
const PADDING: usize = 2;

/// Fits a table with these headings into this width, or into another one if it is not known: then ids are whole, for
/// other programs. Gives the headings of the columns that had no room.
pub(super) fn fit<'a>(table: &mut Table, headings: &[&'a str], known: Option<u16>, otherwise: u16) -> Vec<&'a str> {
    let width = usize::from(known.unwrap_or(otherwise));
    let contents: Vec<usize> = table.column_max_content_widths().into_iter().map(usize::from).collect();
    let least = |heading: &str, content: usize| if FIXED.contains(&heading) { content } else { content.min(NARROWEST) };
    let mut shown: Vec<(&str, usize)> = headings.iter().copied().zip(contents.iter().copied()).collect();
    let mut left_out = Vec::new();
    let needed =
        |shown: &[(&str, usize)]| shown.iter().map(|(it, content)| least(it, *content) + PADDING).sum::<usize>();
    for dispensable in DISPENSABLE {
        if needed(&shown) <= width {
            break;
        }
        left_out.extend(shown.extract_if(.., |(heading, _)| *heading == dispensable).map(|(heading, _)| heading));
    }
    let grown = |(it, content): &(&str, usize)| if *it == COPIED { content - least(it, *content) } else { 0 };
    let has_room_for_ids = known.is_none() || needed(&shown) + shown.iter().map(grown).sum::<usize>() <= width;
    for ((column, heading), content) in table.column_iter_mut().zip(headings).zip(contents) {
        let is_whole = FIXED.contains(heading) || has_room_for_ids && *heading == COPIED;
        column.set_constraint(if left_out.contains(heading) {
            ColumnConstraint::Hidden
        } else if is_whole {
            ColumnConstraint::ContentWidth
        } else {
            let lower = least(heading, content) + PADDING;
            ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(lower).unwrap_or(u16::MAX)))
        });
    }
    left_out
}
