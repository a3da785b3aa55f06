//! What the fuzzer of `fuzz/` calls with arbitrary attributes. A test runs it with random changes of the programs of
//! `tests/ui` and `tests/expand`.

use std::str::FromStr;

use proc_macro2::TokenStream;

use crate::{attribute, join_select};

/// Expands each attribute, with the options before the first NUL and the item behind it. No input may panic; what is
/// made from a function or an `impl` block is a list of items.
pub(crate) fn attributes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (options, item) = text.split_once('\0').unwrap_or(("", &text));
    let (Ok(options), Ok(item)) = (TokenStream::from_str(options), TokenStream::from_str(item)) else { return };
    let attributes: [fn(TokenStream, TokenStream) -> TokenStream; 7] = [
        attribute::workflow,
        attribute::step,
        attribute::transaction,
        |options, item| attribute::scheduled(options, &item),
        attribute::instance,
        |options, item| attribute::queue(options, &item),
        |options, item| attribute::test(options, item, true),
    ];
    let is_item =
        syn::parse2::<syn::ItemFn>(item.clone()).is_ok() || syn::parse2::<syn::ItemImpl>(item.clone()).is_ok();
    for expand in attributes {
        let expanded = expand(options.clone(), item.clone());
        assert!(!is_item || syn::parse2::<syn::File>(expanded.clone()).is_ok(), "not a list of items: {expanded}");
    }
    let _ = (join_select::join(item.clone()), join_select::select(item));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use quote::ToTokens;
    use syn::{Attribute, Item};

    use super::*;

    /// The options and the items of the programs in a folder, as inputs of the target.
    fn corpus(folder: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        let files = fs::read_dir(folder).expect("the folder exists").map(|it| it.expect("it can be read").path());
        let programs = files.filter(|it| it.extension().is_some_and(|it| it == "rs"));
        let parsed = programs.filter_map(|it| syn::parse_file(&fs::read_to_string(it).expect("it can be read")).ok());
        parsed.flat_map(|it| it.items).filter_map(input).collect()
    }

    /// The options of the first attribute, a NUL, and the item without it.
    fn input(mut item: Item) -> Option<String> {
        let attributes: &mut Vec<Attribute> = match &mut item {
            Item::Fn(it) => &mut it.attrs,
            Item::Impl(it) => &mut it.attrs,
            Item::Struct(it) => &mut it.attrs,
            Item::Static(it) => &mut it.attrs,
            _ => return None,
        };
        let options = attributes.pop().map(|it| it.meta.require_list().map(|it| it.tokens.to_string()));
        let options = options.and_then(Result::ok).unwrap_or_default();
        Some(format!("{options}\0{}", item.to_token_stream()))
    }

    /// Words that a change puts in.
    const WORDS: [&str; 24] = [
        "queue",
        "=",
        "\"5m\"",
        "retries",
        ",",
        "(",
        ")",
        "-1",
        "async",
        "fn",
        "&mut",
        "self",
        "-> Result<()>",
        "'a",
        "<T>",
        "#[cfg(test)]",
        "{}",
        "impl",
        "\"0 25 * * *\"",
        "tx: &mut Tx<'_>",
        "r#type",
        "..",
        "\0",
        "dyn",
    ];

    /// Replaces each of some parts of a text by a word, or by a part of another text.
    fn changed(texts: &[String], at: usize, changes: &[(usize, usize, usize)]) -> String {
        let mut text = texts[at % texts.len()].clone();
        for (from, length, word) in changes {
            let from = text.floor_char_boundary(from % (text.len() + 1));
            let to = text.floor_char_boundary((from + length % 12).min(text.len()));
            let other = &texts[word % texts.len()];
            let cut = other.floor_char_boundary(from.min(other.len()));
            let put = if word % 3 == 0 { &other[..cut.min(40)] } else { WORDS[word % WORDS.len()] };
            text.replace_range(from.min(to)..to, put);
        }
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_attribute_and_no_item_makes_a_macro_panic(
            at in any::<usize>(),
            changes in prop::collection::vec((any::<usize>(), any::<usize>(), any::<usize>()), 0..6),
        ) {
            thread_local!(static TEXTS: Vec<String> = ["ui", "expand", "pass"].into_iter().flat_map(corpus).collect());
            TEXTS.with(|texts| attributes(changed(texts, at, &changes).as_bytes()));
        }
    }
}
