//! The book: every chapter is listed and compiled, every link resolves, and the FAQ quotes real messages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Documents for contributors, which are not chapters of the book.
const NOT_IN_THE_BOOK: &[&str] = &["docs/design/", "docs/adding-a-store.md"];

#[test]
fn every_chapter_is_in_the_summary() {
    let chapters: BTreeSet<_> = chapters().into_iter().collect();
    let summary = Path::new("docs/SUMMARY.md");
    let listed: BTreeSet<_> = links(summary).into_iter().map(|link| target(summary, &link).0).collect();
    assert_eq!(listed, chapters);
}

#[test]
fn the_code_of_the_readme_and_of_every_chapter_is_compiled() {
    let included = read(Path::new("durable/src/documents.rs"));
    for chapter in chapters().into_iter().chain([PathBuf::from("README.md")]) {
        let line = format!("#[doc = include_str!(\"../../{}\")]", chapter.display());
        assert!(included.contains(&line), "durable/src/documents.rs does not include {}", chapter.display());
    }
}

#[test]
fn every_relative_link_of_a_document_resolves() {
    let mut broken = Vec::new();
    for document in documents() {
        for link in links(&document) {
            let (file, anchor) = target(&document, &link);
            if !root().join(&file).exists() {
                broken.push(format!("{}: {link}: there is no {}", document.display(), file.display()));
            } else if let Some(anchor) = anchor
                && !anchors(&file).contains(&anchor)
            {
                broken.push(format!("{}: {link}: {} has no such heading", document.display(), file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn chapters_link_only_to_chapters_since_the_book_has_nothing_else() {
    for chapter in chapters() {
        for link in links(&chapter) {
            let (file, _) = target(&chapter, &link);
            assert!(chapters().contains(&file), "{} links to {}", chapter.display(), file.display());
        }
    }
}

/// Paths in code spans, such as `examples/web`, from the root of the project.
#[test]
fn every_quoted_path_of_a_user_document_exists() {
    let mut missing = Vec::new();
    for document in chapters().into_iter().chain([PathBuf::from("README.md"), PathBuf::from("examples/README.md")]) {
        let text = read(&document);
        for span in text.split('`').skip(1).step_by(2) {
            let is_path =
                ["examples/", "tests/", "docs/", "benches/", "migrations/"].iter().any(|it| span.starts_with(it));
            if is_path && !span.contains(' ') && !root().join(span).exists() {
                missing.push(format!("{}: {span}", document.display()));
            }
        }
    }
    let readme = read(Path::new("README.md"));
    let guarantees = readme.split("## ").find(|it| it.starts_with("Guarantees")).expect("README has guarantees");
    for row in guarantees.lines().filter(|line| line.starts_with('|')).skip(2) {
        let folders = row.trim_end_matches(" |").rsplit(" | ").next().expect("a row has cells");
        for folder in folders.split('`').skip(1).step_by(2) {
            if !root().join("tests/suite").join(folder).is_dir() {
                missing.push(format!("README.md, guarantees: tests/suite/{folder}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn included_anchors_of_the_recipes_exist() {
    let mut included = 0;
    for chapter in chapters() {
        for line in read(&chapter).lines() {
            let Some(what) = line.strip_prefix("{{#include ").and_then(|it| it.strip_suffix("}}")) else { continue };
            let (file, anchor) = what.split_once(':').expect("an anchor is named");
            let text = read(&normal(&chapter.with_file_name("").join(file)));
            for mark in [format!("// ANCHOR: {anchor}\n"), format!("// ANCHOR_END: {anchor}\n")] {
                assert!(text.contains(&mark), "{}: {what}", chapter.display());
            }
            included += 1;
        }
    }
    assert!(included >= 7, "every recipe is shown: {included}");
}

/// `…` in a heading stands for a value, so the text between two of them is in the sources as it is.
#[test]
fn the_faq_quotes_messages_of_the_code() {
    let sources: String = ["durable/src", "durable-core/src", "durable-macros/src"]
        .into_iter()
        .flat_map(|folder| files_below(Path::new(folder), "rs"))
        .map(|file| read(&file).replace("\\\"", "\""))
        .collect();
    let faq = read(Path::new("docs/faq.md"));
    let messages: Vec<_> = faq.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert!(messages.len() > 30, "{}", messages.len());
    let invented: Vec<_> = messages
        .iter()
        .filter(|message| {
            message.split('…').map(str::trim).filter(|part| part.len() > 3).any(|part| !sources.contains(part))
        })
        .collect();
    assert!(invented.is_empty(), "no message of the code reads {invented:#?}");
}

/// The documents whose tables name the tests of the project.
const NAMES_TESTS: &[&str] = &["docs/design/invariants.md", "docs/design/guards.md"];

#[test]
fn every_test_that_a_table_names_exists() {
    let sources: Vec<PathBuf> =
        ["tests", "durable-core/src", "durable/src", "durable-macros"].map(PathBuf::from).into();
    let sources: Vec<_> = sources.iter().flat_map(|it| files_below(it, "rs")).collect();
    let text: String = sources.iter().map(|it| read(it)).collect();
    let mut missing = Vec::new();
    for document in NAMES_TESTS {
        let tables = read(Path::new(document));
        let rows = tables.lines().filter(|it| it.starts_with('|'));
        for name in rows.flat_map(|it| it.split('`').skip(1).step_by(2)) {
            let is_name = name.contains('_')
                && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_');
            if is_name && !text.contains(&format!("fn {name}(")) {
                missing.push(format!("{document}: `{name}`"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The pages of the book, without its table of contents.
fn chapters() -> Vec<PathBuf> {
    let is_chapter = |file: &PathBuf| {
        let file = file.to_str().expect("names are ASCII");
        file != "docs/SUMMARY.md" && !NOT_IN_THE_BOOK.iter().any(|it| file.starts_with(it))
    };
    files_below(Path::new("docs"), "md").into_iter().filter(is_chapter).collect()
}

/// All Markdown of the project.
fn documents() -> Vec<PathBuf> {
    let mut documents = files_below(Path::new("docs"), "md");
    documents.extend(files_below(Path::new("examples"), "md"));
    documents.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from));
    documents
}

/// The targets of the relative links in a document, outside of its code.
fn links(document: &Path) -> Vec<String> {
    let text = read(document);
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if in_code {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect(); // without code spans
        for after in prose.split("](").skip(1) {
            let link = after.split(')').next().unwrap_or_default();
            if !link.contains("://") {
                links.push(link.to_owned());
            }
        }
    }
    links
}

/// The file and the heading that a link in a document leads to.
fn target(document: &Path, link: &str) -> (PathBuf, Option<String>) {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor.to_owned())));
    let file = if file.is_empty() { document.to_owned() } else { normal(&document.with_file_name("").join(file)) };
    (file, anchor)
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts
}

/// The anchors of a document's headings, as GitHub and mdBook make them.
fn anchors(document: &Path) -> Vec<String> {
    let text = read(document);
    let headings = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    headings
        .map(|heading| {
            let kept = heading.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
            kept.map(|it| if it == ' ' { '-' } else { it.to_ascii_lowercase() }).collect()
        })
        .collect()
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("a folder can be read") {
        let path = folder.join(entry.expect("an entry can be read").file_name());
        if root().join(&path).is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}
