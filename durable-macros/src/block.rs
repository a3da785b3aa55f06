//! An `impl` block as `#[durable::instance]` sees it: whose it is, and the workflows in it. All else is only passed on.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Generics, Ident, Token, Type, WhereClause};

use crate::attributes;
use crate::function::Function;

/// An `impl` block whose functions stay tokens, but for the workflows: a fault inside it is the compiler's to report.
pub(crate) struct Block {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) impl_token: Token![impl],
    pub(crate) generics: Generics,
    /// The trait, where it is the `impl` of one.
    pub(crate) trait_name: Option<TokenStream>,
    pub(crate) ty: Type,
    pub(crate) items: Vec<Item>,
    /// All before the braces, without the attributes.
    header: TokenStream,
    braces: Group,
}

pub(crate) enum Item {
    Workflow(Box<Workflow>),
    Other(TokenStream),
}

/// A `#[workflow]` in the block.
pub(crate) struct Workflow {
    pub(crate) attribute: Attribute,
    pub(crate) function: Function,
}

impl Block {
    /// Reads the item that the attribute stands on.
    pub(crate) fn read(item: TokenStream, facade: &str) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let attrs = input.call(Attribute::parse_outer)?;
            let starts = input.peek(Token![impl]) || (input.peek(Token![unsafe]) && input.peek2(Token![impl]));
            if !starts {
                let mend = "put it before the `impl` that has the workflows";
                return Err(input.error(format!("`#[durable::instance]` goes on an `impl` block: {mend}")));
            }
            let all: TokenStream = input.fork().parse()?;
            input.parse::<Option<Token![unsafe]>>()?;
            let impl_token = input.parse()?;
            let mut generics = if input.peek(Token![<]) { input.parse()? } else { Generics::default() };
            input.parse::<Option<Token![!]>>()?;
            let mut ty: Type = input.parse()?;
            let mut trait_name = None;
            if input.parse::<Option<Token![for]>>()?.is_some() {
                trait_name = Some(ty.into_token_stream());
                ty = input.parse()?;
            }
            generics.where_clause = input.parse::<Option<WhereClause>>()?;
            let braces: Group = input.parse()?;
            let items = items(braces.stream(), facade)?;
            let mut header: Vec<TokenTree> = all.into_iter().collect();
            header.pop();
            let header = header.into_iter().collect();
            Ok(Self { attrs, impl_token, generics, trait_name, ty, items, header, braces })
        };
        parser.parse2(item)
    }

    /// The last word of the type's path.
    pub(crate) fn type_name(&self) -> Option<&Ident> {
        match &self.ty {
            Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
            _ => None,
        }
    }

    /// The block with what its items have become.
    pub(crate) fn with(&self, items: impl FnMut(&Item) -> TokenStream) -> TokenStream {
        let (attrs, header) = (&self.attrs, &self.header);
        let mut braces = Group::new(Delimiter::Brace, self.items.iter().map(items).collect());
        braces.set_span(self.braces.span());
        quote!(#(#attrs)* #header #braces)
    }
}

/// Takes the workflows out of what stands in the braces.
fn items(inside: TokenStream, facade: &str) -> syn::Result<Vec<Item>> {
    let parser = |input: ParseStream<'_>| {
        let mut items = Vec::new();
        while !input.is_empty() {
            let ahead = input.fork();
            // What cannot be read here is left to the compiler, which says so.
            let attrs = ahead.call(Attribute::parse_outer).unwrap_or_default();
            let is_workflow = |attribute: &Attribute| attributes::ours(attribute, facade) == Some("workflow");
            match attrs.iter().position(is_workflow) {
                Some(place) => {
                    let mut function = input.call(|input| Function::parse(input, "workflow"))?;
                    let attribute = function.attrs.remove(place);
                    items.push(Item::Workflow(Box::new(Workflow { attribute, function })));
                }
                None => items.push(Item::Other(other(input)?)),
            }
        }
        Ok(items)
    };
    parser.parse2(inside)
}

/// One item that is none of ours: up to its braces, or its semicolon where it is no function.
fn other(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let mut item = TokenStream::new();
    let mut value = false;
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        let ends = match &token {
            TokenTree::Punct(punct) => {
                value |= punct.as_char() == '=';
                punct.as_char() == ';'
            }
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !value,
            _ => false,
        };
        item.extend([token]);
        if ends {
            break;
        }
    }
    Ok(item)
}
