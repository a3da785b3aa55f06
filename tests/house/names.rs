//! One name, one meaning: no two types of the core and no two of its files have the same name.

use std::collections::BTreeMap;
use std::path::Path;

use syn::{Item, Visibility};

use super::{read, rust_files};

#[test]
fn no_two_types_of_the_core_have_the_same_name() {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust_files("durable-core/src") {
        for item in syn::parse_file(&read(&file)).expect("a source file can be parsed").items {
            let (visibility, name) = match item {
                Item::Struct(it) => (it.vis, it.ident),
                Item::Enum(it) => (it.vis, it.ident),
                Item::Trait(it) => (it.vis, it.ident),
                Item::Type(it) => (it.vis, it.ident),
                _ => continue,
            };
            if !matches!(visibility, Visibility::Inherited) {
                types.entry(name.to_string()).or_default().push(file.display().to_string());
            }
        }
    }
    // The two stores are written alike, and a name stands for the same thing in both.
    types.retain(|_, files| {
        files.dedup_by_key(|file| without_store(Path::new(file.as_str())));
        files.len() > 1
    });
    assert!(types.is_empty(), "{types:#?}");
}

#[test]
fn no_two_files_of_the_core_have_the_same_name() {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust_files("durable-core/src") {
        let name = file.file_name().and_then(|it| it.to_str()).expect("names are ASCII").to_owned();
        if name != "mod.rs" && name != "tests.rs" {
            files.entry(name).or_default().push(without_store(&file));
        }
    }
    files.retain(|_, places| {
        places.dedup();
        places.len() > 1
    });
    assert!(files.is_empty(), "{files:#?}");
}

/// A path in which both stores are one.
fn without_store(file: &Path) -> String {
    file.display()
        .to_string()
        .replace("/sqlite/", "/*/")
        .replace("/postgres/", "/*/")
        .replace("in_sqlite", "in_*")
        .replace("in_postgres", "in_*")
}
