//! Suggestions for misspelled names. The macros use the same file (`durable-macros/src/suggest.rs` is a link to it).

/// The known time zone with the most similar name or city, if one is similar.
pub(crate) fn zone(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let name = name.trim().to_lowercase().replace(' ', "_");
    let how_far = |known: &str| {
        let known = known.to_lowercase();
        let city = known.rsplit('/').next().unwrap_or(&known);
        distance(&name, &known).min(distance(&name, city))
    };
    // The shortest of several that are equally similar: UTC, and not Etc/UTC.
    let (far, meant) = known.map(|known| (how_far(known), known)).min_by_key(|(far, known)| (*far, known.len()))?;
    (far <= name.len() / 4).then_some(meant)
}

/// The edit distance: the number of letters to insert, remove or change to turn `left` into `right`.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (row_number, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = row_number + 1;
        for (column, b) in right.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
