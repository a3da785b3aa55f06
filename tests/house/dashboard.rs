//! The rules of the dashboard's pages: no data becomes HTML or a style attribute, nothing comes from elsewhere.

use std::collections::HashSet;
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
        ("setHTMLUnsafe", "use `h(tag, props, text)` of dom.js"),
        ("createContextualFragment", "use `h(tag, props, text)` of dom.js"),
        ("srcdoc", "use `h(tag, props, text)` of dom.js"),
        ("javascript:", "use a handler in `on` of dom.js"),
        ("import(", "write `import ..` at the top of the file"),
        ("https://", "put it into the folder"),
        ("http://", "put it into the folder"),
        ("//cdn", "put it into the folder"),
    ];
    let mut faults = Vec::new();
    for file in files(Path::new(FOLDER)) {
        let text = read(&file);
        for (number, line) in text.lines().enumerate() {
            let line = line.replace("http://www.w3.org/2000/svg", ""); // the name of SVG, which is never loaded
            for (word, remedy) in REFUSED {
                let is_type = *word == "import(" && line.contains(" @"); // in a comment
                if line.contains(word) && !is_type {
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

#[test]
fn every_export_is_imported_and_every_class_is_used() {
    let is_name = |it: char| it.is_alphanumeric() || it == '_' || it == '-';
    let (styles, scripts): (Vec<_>, Vec<_>) = files(Path::new(FOLDER))
        .into_iter()
        .map(|path| (read(&path), path))
        .partition(|(_, path)| path.extension().is_some_and(|it| it == "css"));
    let mut faults = Vec::new();
    for (text, path) in &scripts {
        let exported = text.lines().filter_map(|it| it.strip_prefix("export "));
        for name in exported.filter_map(|it| it.trim_start_matches("async ").split(|it| !is_name(it)).nth(1)) {
            let member = format!(".{name}");
            let imports =
                |line: &str| line.starts_with("import ") && line.split(|it| !is_name(it)).any(|it| it == name);
            let is_used = |text: &String| text.lines().any(|line| imports(line) || line.contains(&member));
            if !scripts.iter().any(|(text, other)| other != path && is_used(text)) {
                faults.push(format!("{}: no other file imports `{name}`: remove `export`", path.display()));
            }
        }
    }
    // Statuses are classes in lower case.
    let used: HashSet<_> =
        scripts.iter().flat_map(|(text, _)| text.split(|it| !is_name(it)).map(str::to_lowercase)).collect();
    for (text, path) in &styles {
        let rules = text.lines().filter(|it| !it.starts_with('@'));
        let selectors = rules.filter_map(|it| it.split_once('{')).map(|(selector, _)| selector);
        for class in selectors.flat_map(|it| it.split('.').skip(1)).filter_map(|it| it.split(|it| !is_name(it)).next())
        {
            if !used.contains(class) {
                faults.push(format!("{}: no page has the class `{class}`: remove its rules", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
