//! Compares the statements that are sent with the committed files in `snapshots/`, so that a change of a
//! statement shows in the diff as SQL. `BLESS=1 cargo test -p durable-core --features sqlite,postgres snapshots` rewrites the files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Compares statements, by name, with the files of a store.
pub(super) fn compare(store: &str, statements: &[(&str, Arc<str>)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/snapshots").join(store);
    let bless = std::env::var_os("BLESS").is_some();
    if bless {
        fs::create_dir_all(&folder).expect("the folder can be created");
    }
    let mut differing = Vec::new();
    for (name, text) in statements {
        let (file, text) = (folder.join(format!("{name}.sql")), readable(text));
        if bless {
            fs::write(&file, &text).expect("the file can be written");
        } else if fs::read_to_string(&file).unwrap_or_default() != text {
            differing.push(*name);
        }
    }
    assert!(differing.is_empty(), "{store}: {differing:?} differ: run with BLESS=1, and read the diff");
    let expected: BTreeSet<_> = statements.iter().map(|(name, _)| format!("{name}.sql")).collect();
    let files = fs::read_dir(&folder).expect("there are snapshots");
    let files = files.map(|it| it.expect("the folder can be read").file_name().to_string_lossy().into_owned());
    assert_eq!(files.collect::<BTreeSet<_>>(), expected, "each file is the snapshot of a statement");
}

/// The statement without the indentation that it has in the source.
fn readable(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    let margin = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
    let lines = lines.iter().map(|line| line[margin..].trim_end());
    let lines: Vec<&str> = [first.trim()].into_iter().chain(lines).collect();
    format!("{};\n", lines.join("\n"))
}
