//! The rules of the dashboard's pages: no data becomes HTML or a style attribute, nothing comes from elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::{MOST_LINES, read};

const FOLDER: &str = "durable/src/axum/dashboard/assets";

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there").map(|it| it.expect("it can be read").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn pages_insert_data_as_text_and_load_nothing_from_elsewhere() {
    const REFUSED: &[(&str, &str)] = &[
        ("innerHTML", "use `h(tag, props, text)` of dom.js"),
        ("outerHTML", "use `h(tag, props, text)` of dom.js"),
        ("insertAdjacentHTML", "use `h(tag, props, text)` of dom.js"),
        ("document.write", "use `h(tag, props, text)` of dom.js"),
        ("DOMParser", "use `h(tag, props, text)` of dom.js"),
        ("eval(", "write it as code"),
        ("new Function", "write it as code"),
        ("style=", "use a class, or the property `style` of dom.js: the policy refuses style attributes"),
        ("\"style\",", "use a class, or the property `style` of dom.js: the policy refuses style attributes"),
        ("https://", "put it into the folder"),
        ("//cdn", "put it into the folder"),
    ];
    let mut faults = Vec::new();
    for file in files(Path::new(FOLDER)) {
        let text = read(&file);
        for (number, line) in text.lines().enumerate() {
            for (word, remedy) in REFUSED {
                if line.contains(word) {
                    faults.push(format!("{}:{}: {word}: {remedy}", file.display(), number + 1));
                }
            }
        }
        if text.lines().count() > MOST_LINES {
            faults.push(format!("{} has more than {MOST_LINES} lines", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn modules_of_the_pages_import_files_that_are_there() {
    let mut faults = Vec::new();
    for file in files(Path::new(FOLDER)) {
        for line in read(&file).lines().filter(|it| it.starts_with("import ")) {
            let path = line.rsplit('"').nth(1).unwrap_or_default();
            let is_relative = path.starts_with("./") || path.starts_with("../");
            if !is_relative || !file.parent().expect("it is in a folder").join(path).is_file() {
                faults.push(format!("{}: {line}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
