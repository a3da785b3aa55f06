//! Every `tests/expand/NAME.rs` expands to the committed `tests/expand/NAME.expanded.rs`, which `BLESS=1` rewrites. They
//! show what the attributes generate.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, File, ImplItem, Item, ItemImpl, Meta};

use crate::attribute;

#[test]
fn expansions_equal_the_committed_files() {
    for source in sources() {
        let committed = source.with_extension("expanded.rs");
        let actual = expanded(&source);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&committed, &actual).expect("the directory can be written to");
        }
        let expected = fs::read_to_string(&committed).unwrap_or_default();
        let name = source.display();
        assert_eq!(actual, expected, "{name} expands to something else: run with BLESS=1, and read the diff");
    }
}

/// Generated code appears in error messages and backtraces, and is compiled for every function of a program.
#[test]
fn the_expansion_of_a_workflow_with_two_arguments_has_fewer_than_40_lines() {
    let lines = expanded(&directory().join("workflow_with_two_arguments.rs")).lines().count();
    assert!(lines < 40, "{lines} lines");
}

/// An application may rename the dependency, and have another crate named `durable`.
#[test]
fn the_expansion_for_a_renamed_crate_never_names_durable() {
    let expanded = expanded(&directory().join("crate_renamed.rs"));
    assert!(!expanded.contains("::durable"), "{expanded}");
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand")
}

fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(directory()).expect("the directory exists");
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let sources: Vec<_> = paths.filter(|path| !path.to_string_lossy().ends_with(".expanded.rs")).collect();
    assert!(!sources.is_empty(), "there is no source to expand");
    sources
}

fn expanded(source: &Path) -> String {
    let code = fs::read_to_string(source).expect("a source can be read");
    let mut file = syn::parse_file(&code).expect("a source parses");
    file.items = file.items.into_iter().flat_map(expand_item).collect();
    rustfmt(&prettyplease::unparse(&file))
}

/// Formats with the project's settings, which rustfmt finds from this directory.
fn rustfmt(code: &str) -> String {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let started = rustfmt.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = started.expect("rustfmt comes with the toolchain of this repository");
    child.stdin.take().expect("it is piped").write_all(code.as_bytes()).expect("rustfmt reads all of it");
    let output = child.wait_with_output().expect("rustfmt ends");
    assert!(output.status.success(), "rustfmt cannot read the expansion:\n{code}");
    String::from_utf8(output.stdout).expect("code is text")
}

fn expand_item(item: Item) -> Vec<Item> {
    match item {
        Item::Impl(mut block) => match block.attrs.pop() {
            Some(attribute) => {
                let options = options(&attribute);
                let block = attribute::instance(options, block.into_token_stream());
                vec![Item::Impl(expand_methods(syn::parse2(block).expect("an expansion parses")))]
            }
            None => vec![Item::Impl(expand_methods(block))],
        },
        Item::Fn(function) if first_macro(&function.attrs).is_some() => {
            let expanded = expand(&function.attrs, function.to_token_stream());
            let file = syn::parse2::<File>(expanded).expect("an expansion parses");
            // Of several attributes, the next one is expanded in the output of the previous one.
            file.items.into_iter().flat_map(expand_item).collect()
        }
        Item::Static(mut queue) => {
            let index =
                queue.attrs.iter().position(|it| it.path().is_ident("queue")).expect("a static here is a queue");
            let options = options(&queue.attrs.remove(index));
            let expanded = attribute::queue(options, &queue.into_token_stream());
            syn::parse2::<File>(expanded).expect("an expansion parses").items
        }
        other => vec![other],
    }
}

fn expand_methods(mut block: ItemImpl) -> ItemImpl {
    let methods = block.items.into_iter().flat_map(|item| match item {
        ImplItem::Fn(method) if first_macro(&method.attrs).is_some() => {
            let expanded = expand(&method.attrs, method.to_token_stream());
            let block: ItemImpl = syn::parse_quote!(impl Block { #expanded });
            block.items
        }
        other => vec![other],
    });
    block.items = methods.collect();
    block
}

/// Expands the first attribute that is a macro, as the compiler does.
fn expand(attributes: &[Attribute], item: TokenStream) -> TokenStream {
    let attribute = first_macro(attributes).expect("the caller found it");
    let item = without(attribute, item);
    let options = options(attribute);
    match attribute.path().segments.last().expect("a path is not empty").ident.to_string().as_str() {
        "workflow" => attribute::workflow(options, item),
        "step" => attribute::step(options, item),
        "transaction" => attribute::transaction(options, item),
        "scheduled" => attribute::scheduled(options, &item),
        _ => attribute::test(options, item, true),
    }
}

fn options(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    }
}

fn first_macro(attributes: &[Attribute]) -> Option<&Attribute> {
    attributes.iter().find(|attribute| {
        let name = &attribute.path().segments.last().expect("a path is not empty").ident;
        ["workflow", "step", "transaction", "scheduled", "test"].iter().any(|it| name == it)
    })
}

fn without(attribute: &Attribute, item: TokenStream) -> TokenStream {
    let mut function: syn::ItemFn = syn::parse2(item).expect("a function parses");
    let index = function.attrs.iter().position(|it| it == attribute).expect("the attribute is the function's");
    function.attrs.remove(index);
    function.into_token_stream()
}
