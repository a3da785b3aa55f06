//! The values of options: what each kind accepts, and the tokens that it becomes.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Lit, Path};

use super::{Mistake, Value};
use crate::{duration, zones};

pub(super) fn name(value: &Value) -> Result<TokenStream, Mistake> {
    let Value::Literal(Lit::Str(literal)) = value else { return Err(Mistake::Kind("a text in quotes")) };
    name_fault(&literal.value()).map_or_else(|| Ok(quote!(#literal)), |fault| Err(Mistake::Value(fault)))
}

/// Why a name cannot be stored, if it cannot.
pub(crate) fn name_fault(name: &str) -> Option<String> {
    match name.len() {
        0 => Some("is empty: write one, or leave the option out".to_owned()),
        1..=255 if name.contains(char::is_control) => Some("has a control character: leave that out".to_owned()),
        1..=255 => None,
        length => Some(format!("is {length} bytes long, and 255 is the most")),
    }
}

pub(super) fn count(value: &Value) -> Result<TokenStream, Mistake> {
    match value {
        Value::Literal(Lit::Int(literal)) => match literal.base10_parse::<u32>() {
            Ok(count) => Ok(Literal::u32_unsuffixed(count).to_token_stream()),
            Err(_) => Err(Mistake::Value(format!("is at most {}", u32::MAX))),
        },
        Value::Negative(_) => Err(Mistake::Value("counts from 0 up".to_owned())),
        _ => Err(Mistake::Kind("a whole number")),
    }
}

pub(super) fn rate(value: &Value) -> Result<TokenStream, Mistake> {
    number(value, |it| it >= 1.0, "is 1 or more, so that pauses do not shrink")
}

pub(super) fn share(value: &Value) -> Result<TokenStream, Mistake> {
    number(value, |it| (0.0..=1.0).contains(&it), "is a share from 0 to 1")
}

fn number(value: &Value, fits: fn(f64) -> bool, fault: &str) -> Result<TokenStream, Mistake> {
    let number = match value {
        Value::Literal(Lit::Float(literal)) => literal.base10_parse().ok(),
        Value::Literal(Lit::Int(literal)) => literal.base10_parse().ok(),
        Value::Negative(_) => Some(-1.0_f64), // of any size: no option takes a negative number
        _ => None,
    };
    match number.ok_or(Mistake::Kind("a number"))? {
        number if number.is_finite() && fits(number) => Ok(Literal::f64_unsuffixed(number).to_token_stream()),
        _ => Err(Mistake::Value(fault.to_owned())),
    }
}

pub(super) fn pause(value: &Value) -> Result<TokenStream, Mistake> {
    let milliseconds = Literal::u64_unsuffixed(milliseconds(value)?);
    Ok(quote!(::core::time::Duration::from_millis(#milliseconds)))
}

pub(super) fn limit(value: &Value) -> Result<TokenStream, Mistake> {
    if milliseconds(value)? == 0 {
        return Err(Mistake::Value("of zero leaves no time at all; for no limit, leave it out".to_owned()));
    }
    let limit = pause(value)?;
    Ok(quote!(::core::option::Option::Some(#limit)))
}

fn milliseconds(value: &Value) -> Result<u64, Mistake> {
    let Value::Literal(Lit::Str(literal)) = value else { return Err(Mistake::Kind("a duration in quotes")) };
    duration::parse(&literal.value()).map_err(Mistake::Value)
}

pub(super) fn outside(value: &Value) -> Result<TokenStream, Mistake> {
    match value {
        Value::Literal(Lit::Str(literal)) if literal.value() == "deny" => Ok(quote!(false)),
        Value::Literal(Lit::Str(_)) => {
            Err(Mistake::Value(r#"is "deny" or left out: then the step can be called outside any workflow"#.to_owned()))
        }
        _ => Err(Mistake::Kind("one word in quotes")),
    }
}

pub(super) fn flag(value: &Value) -> Result<TokenStream, Mistake> {
    match value {
        Value::None => Ok(quote!(true)),
        _ => Err(Mistake::Kind("no value")),
    }
}

/// The path of a function, as it stands: the compiler says what is wrong with its type.
pub(super) fn path(value: &Value) -> Result<TokenStream, Mistake> {
    match value {
        Value::Other(Expr::Path(path)) => Ok(path.to_token_stream()),
        _ => Err(Mistake::Kind("the path of a function, without quotes")),
    }
}

/// A reference to a static, as it stands: the compiler says what is wrong with its type.
pub(super) fn queue(value: &Value) -> Result<TokenStream, Mistake> {
    match value {
        Value::Other(Expr::Path(path)) => Ok(quote_spanned!(path.span()=> ::core::option::Option::Some(&#path))),
        _ => Err(Mistake::Kind("the path of a queue's `static`, without quotes")),
    }
}

/// As serde has it: a path in quotes, of a crate if it begins with no other word.
pub(super) fn path_of_crate(value: &Value) -> Result<TokenStream, Mistake> {
    let kind = || Mistake::Kind("the name under which the crate is imported, in quotes");
    let Value::Literal(Lit::Str(literal)) = value else { return Err(kind()) };
    let path = literal.parse_with(Path::parse_mod_style).map_err(|_| kind())?;
    let relative = ["crate", "self", "super"].iter().any(|word| path.segments[0].ident == word);
    if relative || path.leading_colon.is_some() { Ok(quote!(#path)) } else { Ok(quote!(::#path)) }
}

pub(super) fn allow(value: &Value) -> Result<TokenStream, Mistake> {
    match value {
        Value::Literal(Lit::Str(literal)) if literal.value() == "allow" => Ok(quote!(true)),
        Value::Literal(Lit::Str(_)) => {
            Err(Mistake::Value(r#"is "allow" or left out: then the body is looked through"#.to_owned()))
        }
        _ => Err(Mistake::Kind("one word in quotes")),
    }
}

/// The variant of the engine's `Isolation`.
pub(super) fn isolation(value: &Value) -> Result<TokenStream, Mistake> {
    one_of(
        value,
        &[("serializable", "Serializable"), ("repeatable read", "RepeatableRead"), ("read committed", "ReadCommitted")],
    )
}

/// The variant of the engine's `Misfire`.
pub(super) fn misfire(value: &Value) -> Result<TokenStream, Mistake> {
    one_of(value, &[("skip", "Skip"), ("once", "Once"), ("all", "All")])
}

/// The variant of the engine's `Overlap`.
pub(super) fn overlap(value: &Value) -> Result<TokenStream, Mistake> {
    one_of(value, &[("allow", "Allow"), ("skip", "Skip")])
}

/// One of some texts, and the variant that each stands for.
fn one_of(value: &Value, known: &[(&str, &str)]) -> Result<TokenStream, Mistake> {
    let Value::Literal(Lit::Str(literal)) = value else { return Err(Mistake::Kind("a text in quotes")) };
    if let Some((_, variant)) = known.iter().find(|(text, _)| literal.value() == *text) {
        return Ok(Ident::new(variant, Span::call_site()).to_token_stream());
    }
    let texts: Vec<String> = known.iter().map(|(text, _)| format!("{text:?}")).collect();
    let (last, others) = texts.split_last().expect("there is something to choose from");
    Err(Mistake::Value(format!("is {} or {last}", others.join(", "))))
}

pub(super) fn zone(value: &Value) -> Result<TokenStream, Mistake> {
    let Value::Literal(Lit::Str(literal)) = value else {
        return Err(Mistake::Kind("the name of a time zone in quotes"));
    };
    zones::fault(&literal.value()).map_or_else(|| Ok(quote!(#literal)), |fault| Err(Mistake::Value(fault)))
}
