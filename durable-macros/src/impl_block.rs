//! An `impl` block as `#[durable::instance]` sees it: its type, and the workflows in it. The other items stay tokens.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Generics, Ident, Token, Type, WhereClause};

use crate::function::Function;
use crate::user_attributes;

/// An `impl` block in which only the workflows are parsed: the compiler reports the errors in the other items.
pub(crate) struct ImplBlock {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) impl_token: Token![impl],
    pub(crate) generics: Generics,
    /// The trait, if the block implements one.
    pub(crate) trait_name: Option<TokenStream>,
    pub(crate) ty: Type,
    pub(crate) items: Vec<BlockItem>,
    /// Everything before the braces, without the attributes.
    header: TokenStream,
    braces: Group,
}

pub(crate) enum BlockItem {
    Workflow(Box<WorkflowMethod>),
    Other(TokenStream),
}

/// A method with `#[workflow]`.
pub(crate) struct WorkflowMethod {
    /// The `#[workflow]` attribute, which is not in the attributes of `function`.
    pub(crate) attribute: Attribute,
    pub(crate) function: Function,
}

impl ImplBlock {
    /// Parses the item that the attribute is on.
    pub(crate) fn parse_item(item: TokenStream, crate_name: &str) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let attrs = input.call(Attribute::parse_outer)?;
            let starts = input.peek(Token![impl]) || (input.peek(Token![unsafe]) && input.peek2(Token![impl]));
            if !starts {
                return Err(input.error("`#[durable::instance]` goes on the `impl` block that has the workflows"));
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
            let items = parse_items(braces.stream(), crate_name)?;
            let mut header: Vec<TokenTree> = all.into_iter().collect();
            header.pop();
            let header = header.into_iter().collect();
            Ok(Self { attrs, impl_token, generics, trait_name, ty, items, header, braces })
        };
        parser.parse2(item)
    }

    /// The last segment of the type's path.
    pub(crate) fn type_name(&self) -> Option<&Ident> {
        match &self.ty {
            Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
            _ => None,
        }
    }

    /// The block with each item replaced by its expansion.
    pub(crate) fn with_items(&self, expand: impl FnMut(&BlockItem) -> TokenStream) -> TokenStream {
        let (attrs, header) = (&self.attrs, &self.header);
        let mut braces = Group::new(Delimiter::Brace, self.items.iter().map(expand).collect());
        braces.set_span(self.braces.span());
        quote!(#(#attrs)* #header #braces)
    }
}

/// Parses the contents of the braces.
fn parse_items(content: TokenStream, crate_name: &str) -> syn::Result<Vec<BlockItem>> {
    let parser = |input: ParseStream<'_>| {
        let mut items = Vec::new();
        while !input.is_empty() {
            let ahead = input.fork();
            // The compiler reports attributes that do not parse.
            let attrs = ahead.call(Attribute::parse_outer).unwrap_or_default();
            let is_workflow =
                |attribute: &Attribute| user_attributes::durable_attribute(attribute, crate_name) == Some("workflow");
            match attrs.iter().position(is_workflow) {
                Some(index) => {
                    let mut function = input.call(|input| Function::parse(input, "workflow"))?;
                    let attribute = function.attrs.remove(index);
                    items.push(BlockItem::Workflow(Box::new(WorkflowMethod { attribute, function })));
                }
                None => items.push(BlockItem::Other(skip_item(input)?)),
            }
        }
        Ok(items)
    };
    parser.parse2(content)
}

/// The tokens of one item, up to its block or its semicolon.
fn skip_item(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let mut item = TokenStream::new();
    let mut after_equals = false;
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        let ends = match &token {
            TokenTree::Punct(punct) => {
                after_equals |= punct.as_char() == '=';
                punct.as_char() == ';'
            }
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !after_equals,
            _ => false,
        };
        item.extend([token]);
        if ends {
            break;
        }
    }
    Ok(item)
}
