//! Every `tests/expand/NAME.rs` expands to the committed `tests/expand/NAME.expanded.rs`; `BLESS=1` writes those anew.
//! They are the place to see what the attributes make of a function.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, File, ImplItem, Item, ItemImpl, Meta};

#[test]
fn expansions_are_as_committed() {
    for source in sources() {
        let committed = source.with_extension("expanded.rs");
        let actual = expanded(&source);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&committed, &actual).expect("the folder can be written to");
        }
        let expected = fs::read_to_string(&committed).unwrap_or_default();
        let name = source.display();
        assert_eq!(actual, expected, "{name} expands to something else: run with BLESS=1, and read the difference");
    }
}

/// Generated code is read in error messages, in backtraces and by the curious, and compiled a hundred times in a program.
#[test]
fn a_workflow_of_two_arguments_stays_short() {
    let lines = expanded(&folder().join("workflow_with_two_arguments.rs")).lines().count();
    assert!(lines < 40, "{lines} lines");
}

/// An application can call its dependency as it likes, and have something else under our name.
#[test]
fn a_renamed_crate_is_spoken_to_by_its_new_name_only() {
    let expanded = expanded(&folder().join("crate_renamed.rs"));
    assert!(!expanded.contains("::durable"), "{expanded}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand")
}

fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let sources: Vec<_> = paths.filter(|path| !path.to_string_lossy().ends_with(".expanded.rs")).collect();
    assert!(!sources.is_empty(), "no expansion is looked at");
    sources
}

fn expanded(source: &Path) -> String {
    let code = fs::read_to_string(source).expect("a source can be read");
    let mut file = syn::parse_file(&code).expect("a source parses");
    file.items = file.items.into_iter().flat_map(expand_item).collect();
    rustfmt(&prettyplease::unparse(&file))
}

/// In the style of the project: from this folder it finds the project's settings.
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
                let block = super::instance(options, block.into_token_stream());
                vec![Item::Impl(expand_methods(syn::parse2(block).expect("an expansion parses")))]
            }
            None => vec![Item::Impl(expand_methods(block))],
        },
        Item::Fn(function) if ours(&function.attrs).is_some() => {
            let expanded = expand(&function.attrs, function.to_token_stream());
            let file = syn::parse2::<File>(expanded).expect("an expansion parses");
            // One above the other: the second is expanded in what the first has left.
            file.items.into_iter().flat_map(expand_item).collect()
        }
        Item::Static(mut queue) => {
            let place =
                queue.attrs.iter().position(|it| it.path().is_ident("queue")).expect("a static here is a queue");
            let options = options(&queue.attrs.remove(place));
            let expanded = super::queue(options, &queue.into_token_stream());
            syn::parse2::<File>(expanded).expect("an expansion parses").items
        }
        other => vec![other],
    }
}

fn expand_methods(mut block: ItemImpl) -> ItemImpl {
    let methods = block.items.into_iter().flat_map(|item| match item {
        ImplItem::Fn(method) if ours(&method.attrs).is_some() => {
            let expanded = expand(&method.attrs, method.to_token_stream());
            let block: ItemImpl = syn::parse_quote!(impl Block { #expanded });
            block.items
        }
        other => vec![other],
    });
    block.items = methods.collect();
    block
}

/// Does what the compiler does with the first attribute that is a macro.
fn expand(attributes: &[Attribute], item: TokenStream) -> TokenStream {
    let attribute = ours(attributes).expect("the caller looked");
    let item = without(attribute, item);
    let options = options(attribute);
    match attribute.path().segments.last().expect("a path is not empty").ident.to_string().as_str() {
        "workflow" => super::workflow(options, item),
        "step" => super::step(options, item),
        "transaction" => super::transaction(options, item),
        "scheduled" => super::scheduled(options, &item),
        _ => super::test(options, item),
    }
}

fn options(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    }
}

fn ours(attributes: &[Attribute]) -> Option<&Attribute> {
    attributes.iter().find(|attribute| {
        let name = &attribute.path().segments.last().expect("a path is not empty").ident;
        ["workflow", "step", "transaction", "scheduled", "test"].iter().any(|ours| name == ours)
    })
}

fn without(attribute: &Attribute, item: TokenStream) -> TokenStream {
    let mut function: syn::ItemFn = syn::parse2(item).expect("a function parses");
    let place = function.attrs.iter().position(|it| it == attribute).expect("the attribute is the function's");
    function.attrs.remove(place);
    function.into_token_stream()
}
