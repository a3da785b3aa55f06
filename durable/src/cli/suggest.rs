//! What a misspelled name may have meant.

/// The known name that is most like this one, if one is alike.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let (far, nearest) = known.into_iter().map(|it| (distance(it), it)).min()?;
    (far <= name.chars().count().max(nearest.chars().count()) / 3).then_some(nearest)
}

/// A hint with the nearest of the known names, or all of them. `what` names them in the plural.
pub(super) fn hint<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("the {what} are {}", known.join(", ")),
    }
}
