//! Layers import only from layers below them. Every path is resolved: `super::`, `self::`, `use` trees,
//! re-exports of `lib.rs` and of the layers, paths in code and in the arguments of macros.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree};

use super::{read, rust_files};

/// The layers of `durable-core/src`, from the lowest to the highest. A file may import from its own
/// layer and from those before it.
pub(super) const LAYERS: &[&str] =
    &["types", "store", "registry", "wait", "queue_state", "writer", "runtime", "journal", "operations", "engine"];

/// Files of one layer that import each other in a circle, with the reason. Everything else is a tree.
const CIRCLES: &[(&[&str], &str)] = &[
    (
        &["engine::builder", "engine::durable", "engine::launch"],
        "`Durable::builder` makes a builder, whose launch makes a `Durable`",
    ),
    (
        &["engine::client", "engine::client_builder"],
        "`Client::builder` makes a builder, whose `connect` makes a `Client`",
    ),
    (
        &["journal::context", "journal::reserved_position"],
        "a call site reserves positions, which are checked against the context",
    ),
    (
        &["store::columns::workflow_columns", "store::decode"],
        "columns name how a value is decoded, and decoding reads columns",
    ),
    (
        &["store::messaging_rows", "store::queue_rows", "store::rows"],
        "an entry holds messages and placements; a claim holds rows",
    ),
];

#[test]
fn no_file_imports_from_a_higher_layer() {
    let sources = Sources::of_the_core();
    let mut faults = Vec::new();
    for (module, text) in &sources.texts {
        faults.extend(sources.faults(module, text));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn import_circles_are_listed_with_a_reason() {
    let sources = Sources::of_the_core();
    let mut graph = BTreeMap::new();
    for (module, text) in &sources.texts {
        let imports = Sources::references(module, text).into_iter().map(|path| sources.module_of(&path));
        // The files of a folder may share items of the folder's own module file.
        let is_parent = |it: &str| module.starts_with(&format!("{it}::"));
        let imports: BTreeSet<_> = imports.filter(|it| it != module && !it.is_empty() && !is_parent(it)).collect();
        graph.insert(module.clone(), imports);
    }
    let allowed: Vec<BTreeSet<String>> =
        CIRCLES.iter().map(|(files, _)| files.iter().map(|it| (*it).to_owned()).collect()).collect();
    let unexpected: Vec<_> = circles(&graph).into_iter().filter(|it| !allowed.contains(it)).collect();
    assert!(unexpected.is_empty(), "these files import each other in a circle: {unexpected:#?}");
}

/// Imports from a higher layer, in forms that a search for `crate::engine` does not find.
#[test]
fn imports_from_above_are_found_in_every_form() {
    let sources = Sources::of_the_core();
    for planted in [
        "use super::super::engine::Durable;",
        "use crate::WorkflowCall;",
        "use crate::{types::error::Error, engine as upstairs};",
        "use crate::{self as root, types::{sync::lock, status::Status}, operations::{start, step}};",
        "use super::super::{journal};",
        "use self::super::super::wait::clock::Clock;",
        "fn f() -> super::super::writer::Writer { todo!() }",
        "fn f() { let _ = crate::Durable::builder(\"x\"); }",
        "mod inner { use super::super::super::engine::Durable; }",
        "mod inner { fn f() { super::super::super::runtime::panics::catch(|| ()); } }",
        "fn f() { println!(\"{:?}\", crate::engine::signals::install()); }",
        "impl From<crate::Error> for crate::WorkflowInfo {} struct S(crate::store::Entry);",
        "use crate::store::Entry as Row;",
    ] {
        assert!(!sources.faults("types::sync", planted).is_empty(), "`{planted}` is not found");
    }
    for harmless in [
        "use super::error::Error;",
        "use crate::Error;",
        "use crate::{Status, types::position::Position};",
        "// crate::engine::Durable\nfn f() { let text = \"crate::engine\"; }",
        "#[cfg(test)] mod tests { use crate::engine::Durable; }",
    ] {
        assert_eq!(sources.faults("types::sync", harmless), Vec::<String>::new(), "`{harmless}` is allowed");
    }
}

/// The sources of the core, and what each module re-exports.
struct Sources {
    /// By module path, such as `journal::writes`; the crate root is the empty path.
    texts: BTreeMap<String, String>,
    /// By module path: names that it re-exports, with the path they come from.
    exports: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Sources {
    fn of_the_core() -> Self {
        let mut sources = Self { texts: BTreeMap::new(), exports: BTreeMap::new() };
        for file in rust_files("durable-core/src") {
            sources.texts.insert(module_path(&file), read(&file));
        }
        for (module, text) in &sources.texts {
            let mut exports = BTreeMap::new();
            for item in parse(text).items {
                if let Item::Use(item) = item
                    && !matches!(item.vis, syn::Visibility::Inherited)
                {
                    flatten(&item.tree, &mut Vec::new(), &mut |path, name| {
                        exports.insert(name, absolute(&segments(module), &path, true));
                    });
                }
            }
            sources.exports.insert(module.clone(), exports);
        }
        sources
    }

    /// What a module must not import.
    fn faults(&self, module: &str, text: &str) -> Vec<String> {
        let Some(own) = LAYERS.iter().position(|layer| module.split("::").next() == Some(layer)) else {
            return Vec::new(); // the crate root and the module for generated code may import everything
        };
        let mut faults = Vec::new();
        for path in Self::references(module, text) {
            let target = self.module_of(&path);
            match LAYERS.iter().position(|layer| target.split("::").next() == Some(layer)) {
                Some(layer) if layer <= own => {}
                Some(layer) => {
                    faults.push(format!(
                        "{module} imports `{}` of the layer above, {}",
                        path.join("::"),
                        LAYERS[layer]
                    ));
                }
                // Macros that are exported at the crate root begin with two underscores.
                None if path.first().is_some_and(|it| it.starts_with("__") && it != "__private") => {}
                None => faults.push(format!("{module} imports `crate::{}`, which is in no layer", path.join("::"))),
            }
        }
        faults
    }

    /// Every path of the crate that a module names outside of its tests, from the crate root.
    fn references(module: &str, text: &str) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        collect(&parse(text).items, &segments(module), &mut found);
        found.retain(|it| !it.is_empty());
        found
    }

    /// The module that defines what a path names: re-exports are followed.
    fn module_of(&self, path: &[String]) -> String {
        let (mut module, mut rest) = (String::new(), path.to_vec());
        for _ in 0..16 {
            let Some(next) = rest.first().cloned() else { return module };
            let child = if module.is_empty() { next.clone() } else { format!("{module}::{next}") };
            if self.texts.contains_key(&child) {
                module = child;
                rest.remove(0);
            } else if let Some(target) = self.exports.get(&module).and_then(|it| it.get(&next)) {
                if target.join("::") == child {
                    return module; // a macro that the module exports by its own name
                }
                rest = target.iter().cloned().chain(rest.drain(1..)).collect();
                module = String::new();
            } else {
                return module;
            }
        }
        panic!("the re-exports of `{}` go in a circle", path.join("::"));
    }
}

fn parse(text: &str) -> syn::File {
    syn::parse_file(text).expect("a source file can be parsed")
}

fn collect(items: &[Item], module: &[String], found: &mut Vec<Vec<String>>) {
    for item in items {
        match item {
            _ if is_test(attributes(item)) => {}
            Item::Use(item) => flatten(&item.tree, &mut Vec::new(), &mut |path, _| {
                found.push(absolute(module, &path, false));
            }),
            Item::Mod(item) => {
                let mut inner = module.to_vec();
                inner.push(item.ident.to_string());
                collect(item.content.as_ref().map_or(&[][..], |it| &it.1), &inner, found);
            }
            other => paths_in(other.to_token_stream(), module, found),
        }
    }
}

/// All paths that begin with `crate`, `self` or `super`, in code and in the arguments of macros.
fn paths_in(tokens: TokenStream, module: &[String], found: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_colon = |index: usize| matches!(tokens.get(index), Some(TokenTree::Punct(it)) if it.as_char() == ':');
    let mut index = 0;
    while index < tokens.len() {
        match &tokens[index] {
            TokenTree::Group(group) => paths_in(group.stream(), module, found),
            TokenTree::Ident(first) if matches!(first.to_string().as_str(), "crate" | "self" | "super") => {
                let mut path = vec![first.to_string()];
                while is_colon(index + 1)
                    && is_colon(index + 2)
                    && let Some(TokenTree::Ident(next)) = tokens.get(index + 3)
                {
                    path.push(next.to_string());
                    index += 3;
                }
                if path.len() > 1 {
                    found.push(absolute(module, &path, false));
                }
            }
            _ => {}
        }
        index += 1;
    }
}

/// Calls `each` with every path of a `use` tree, and the name under which it is imported.
fn flatten(tree: &UseTree, prefix: &mut Vec<String>, each: &mut impl FnMut(Vec<String>, String)) {
    match tree {
        UseTree::Path(it) => {
            prefix.push(it.ident.to_string());
            flatten(&it.tree, prefix, each);
            prefix.pop();
        }
        UseTree::Group(it) => it.items.iter().for_each(|tree| flatten(tree, prefix, each)),
        UseTree::Name(it) if it.ident == "self" => each(prefix.clone(), prefix.last().cloned().unwrap_or_default()),
        UseTree::Name(it) => each([&prefix[..], &[it.ident.to_string()]].concat(), it.ident.to_string()),
        UseTree::Rename(it) => {
            let own = if it.ident == "self" { Vec::new() } else { vec![it.ident.to_string()] };
            each([&prefix[..], &own].concat(), it.rename.to_string());
        }
        UseTree::Glob(_) => each(prefix.clone(), "*".to_owned()),
    }
}

/// A path from the crate root; empty for a path of another crate. A path without a prefix names a
/// child of the module where something is re-exported, and another crate elsewhere.
fn absolute(module: &[String], path: &[String], children: bool) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = path;
    let mut relative = children;
    while let Some((first, tail)) = rest.split_first() {
        match first.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        (relative, rest) = (true, tail);
    }
    if relative { [&base[..], rest].concat() } else { Vec::new() }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// Whether an item is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| {
        let text = it.meta.to_token_stream().to_string().replace(' ', "");
        text.starts_with("cfg(test)") || text.starts_with("cfg(all(test")
    })
}

fn module_path(file: &Path) -> String {
    let inside: PathBuf = file.strip_prefix("durable-core/src").expect("it is a file of the core").with_extension("");
    let mut parts: Vec<_> = inside.iter().map(|it| it.to_str().expect("names are ASCII")).collect();
    if matches!(parts.last(), Some(&("mod" | "lib"))) {
        parts.pop();
    }
    parts.join("::")
}

fn segments(module: &str) -> Vec<String> {
    module.split("::").filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

/// The circles of a graph: its strongly connected components with more than one member.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let reachable = |from: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = open.pop() {
            for next in graph.get(&module).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<_, _> = graph.keys().map(|it| (it.clone(), reachable(it))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (module, reached) in &all {
        if !reached.contains(module) || found.iter().any(|it| it.contains(module)) {
            continue;
        }
        found.push(
            reached.iter().filter(|it| all.get(*it).is_some_and(|back| back.contains(module))).cloned().collect(),
        );
    }
    found
}
