//! What was meant by a name that is none. The macros look for it with this same file (`durable-macros/src/nearest.rs`
//! is a link to it).

/// The time zone that is written nearly so, or whose city is.
pub(crate) fn zone(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let name = name.trim().to_lowercase().replace(' ', "_");
    let how_far = |known: &str| {
        let known = known.to_lowercase();
        let city = known.rsplit('/').next().unwrap_or(&known);
        distance(&name, &known).min(distance(&name, city))
    };
    // Of several that are as far the shortest: UTC, and not Etc/UTC.
    let (far, meant) = known.map(|known| (how_far(known), known)).min_by_key(|(far, known)| (*far, known.len()))?;
    (far <= name.len() / 4).then_some(meant)
}

/// How many letters have to be put in, left out or changed to make `right` of `left`.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in right.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
