//! `#[scheduled]` as `#[workflow]` finds it below itself: an expression and options, which are read here.

use proc_macro2::{Span, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, LitStr, Meta, Token};

use crate::attributes;
use crate::crontab::Crontab;
use crate::faults::Faults;
use crate::function::Function;
use crate::options::{Options, SCHEDULED};

/// What an attribute says, as far as it reads.
pub(crate) struct Schedule {
    pub(crate) cron: LitStr,
    pub(crate) options: Options,
}

impl Schedule {
    /// Reads what stands between the parentheses; `place` is where something is missing.
    pub(crate) fn parse(tokens: TokenStream, place: Span, faults: &mut Faults) -> Option<Self> {
        const FORM: &str = r#"`#[scheduled]` begins with a crontab expression in quotes: `#[scheduled("0 2 * * *")]`"#;
        let first = tokens.clone().into_iter().next().map_or(place, |token| token.span());
        let parser = |input: ParseStream<'_>| {
            let cron: LitStr = input.parse()?;
            if !input.is_empty() && input.parse::<Option<Token![,]>>()?.is_none() {
                return Err(input.error("write a comma between the expression and the options"));
            }
            Ok((cron, input.parse::<TokenStream>()?))
        };
        if !matches!(syn::parse2(tokens.clone().into_iter().take(1).collect()), Ok(syn::Lit::Str(_))) {
            faults.at(first, FORM);
            return None;
        }
        match parser.parse2(tokens) {
            Ok((cron, options)) => {
                check_expression(&cron, faults);
                Some(Self { options: SCHEDULED.parse(options, faults), cron })
            }
            Err(fault) => {
                faults.parse(fault);
                None
            }
        }
    }

    /// That of a workflow which was found to be without fault.
    pub(crate) fn of(function: &Function, options: &Options) -> Option<Self> {
        let facade = options.facade().name();
        let attribute = function.attrs.iter().find(|it| attributes::is_scheduled(it, &facade))?;
        let mut faults = Faults::new();
        let schedule = Self::parse(tokens(attribute), Span::call_site(), &mut faults);
        // They were told when the function was checked.
        drop(faults.tell());
        schedule
    }
}

/// What stands between the parentheses of an attribute.
pub(crate) fn tokens(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    }
}

fn check_expression(cron: &LitStr, faults: &mut Faults) {
    match Crontab::parse(&cron.value()) {
        Ok(crontab) if crontab.is_never() => {
            faults.on(cron, "this is never due: none of its months has such a day");
        }
        Ok(_) => {}
        Err(fault) => faults.on(cron, fault.to_string()),
    }
}
