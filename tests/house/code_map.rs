//! The code map of ARCHITECTURE.md names every layer and every file of the core, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use super::imports::LAYERS;
use super::{read, rust_files};

#[test]
fn the_code_map_lists_every_layer_from_the_lowest_to_the_highest() {
    let (layers, _) = code_map();
    assert_eq!(layers, LAYERS);
}

#[test]
fn the_code_map_lists_every_file_and_no_other() {
    let (_, listed) = code_map();
    let there: BTreeSet<String> = rust_files("durable-core/src")
        .into_iter()
        .map(|file| file.strip_prefix("durable-core/src").expect("it is a file of the core").display().to_string())
        .filter(|file| !file.ends_with("mod.rs") && !file.ends_with("/tests.rs") && file.contains('/'))
        .collect();
    let missing: Vec<_> = there.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&there).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not in the code map: {missing:#?}\nno such file: {unknown:#?}");
}

/// The map stays short, so that it is read.
#[test]
fn architecture_is_read_in_ten_minutes() {
    let text = read(Path::new("ARCHITECTURE.md"));
    let is_word = |it: &&str| it.chars().any(char::is_alphanumeric); // and no bullet or heading mark
    let words = text.split_whitespace().filter(is_word).count();
    assert!(words < 1_500, "{words} words; the deep parts are in docs/design/");
}

/// The layers and the files that the section "Code map" names, in its order.
fn code_map() -> (Vec<String>, BTreeSet<String>) {
    let text = read(Path::new("ARCHITECTURE.md"));
    let section = text.split("\n## ").find(|it| it.starts_with("Code map")).expect("there is a code map");
    let (mut layers, mut files) = (Vec::new(), BTreeSet::new());
    for line in section.lines() {
        if let Some(heading) = line.strip_prefix("### `") {
            layers.push(heading.trim_end_matches(['`', '/']).to_owned());
        } else if let Some(layer) = layers.last() {
            for name in
                line.split('`').skip(1).step_by(2).filter(|it| Path::new(it).extension().is_some_and(|it| it == "rs"))
            {
                files.extend(expand(name).into_iter().map(|it| format!("{layer}/{it}")));
            }
        }
    }
    (layers, files)
}

/// Expands braces as a shell does: `{sqlite,postgres}/claim.rs`.
fn expand(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (choices, after) = rest.split_once('}').expect("braces are closed");
    choices.split(',').flat_map(|it| expand(&format!("{before}{it}{after}"))).collect()
}
