//! The kinds of option values: what each kind accepts, and the tokens that it becomes.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Lit, Path};

use super::{Value, ValueError};
use crate::time_zones;

pub(super) fn name(value: &Value) -> Result<TokenStream, ValueError> {
    let Value::Literal(Lit::Str(literal)) = value else { return Err(ValueError::WrongKind("a string")) };
    name_error(&literal.value()).map_or_else(|| Ok(quote!(#literal)), |error| Err(ValueError::Invalid(error)))
}

pub(super) fn version(value: &Value) -> Result<TokenStream, ValueError> {
    let version = name(value)?;
    Ok(quote!(::core::option::Option::Some(#version)))
}

/// Why the database cannot store a name, or `None` if it can.
pub(crate) fn name_error(name: &str) -> Option<String> {
    match name.len() {
        0 => Some("cannot be empty: write a name, or remove the option".to_owned()),
        1..=255 if name.contains(char::is_control) => Some("contains a control character: remove it".to_owned()),
        1..=255 => None,
        length => Some(format!("is {length} bytes long: the maximum is 255")),
    }
}

pub(super) fn count(value: &Value) -> Result<TokenStream, ValueError> {
    match value {
        Value::Literal(Lit::Int(literal)) => match literal.base10_parse::<u32>() {
            Ok(count) => Ok(Literal::u32_unsuffixed(count).to_token_stream()),
            Err(_) => Err(ValueError::Invalid(format!("is too large: the maximum is {}", u32::MAX))),
        },
        Value::Negative(_) => Err(ValueError::Invalid("cannot be negative: write 0 or more".to_owned())),
        _ => Err(ValueError::WrongKind("a whole number")),
    }
}

pub(super) fn rate(value: &Value) -> Result<TokenStream, ValueError> {
    number(value, |it| it >= 1.0, "is too small: write 1 or more")
}

pub(super) fn fraction(value: &Value) -> Result<TokenStream, ValueError> {
    number(value, |it| (0.0..=1.0).contains(&it), "is out of range: write a fraction from 0 to 1")
}

fn number(value: &Value, is_valid: fn(f64) -> bool, error: &str) -> Result<TokenStream, ValueError> {
    let number = match value {
        Value::Literal(Lit::Float(literal)) => literal.base10_parse().ok(),
        Value::Literal(Lit::Int(literal)) => literal.base10_parse().ok(),
        Value::Negative(_) => Some(-1.0_f64), // stands for all: no option takes a negative number
        _ => None,
    };
    match number.ok_or(ValueError::WrongKind("a number"))? {
        number if number.is_finite() && is_valid(number) => Ok(Literal::f64_unsuffixed(number).to_token_stream()),
        _ => Err(ValueError::Invalid(error.to_owned())),
    }
}

pub(super) fn duration(value: &Value) -> Result<TokenStream, ValueError> {
    let milliseconds = Literal::u64_unsuffixed(milliseconds(value)?);
    Ok(quote!(::core::time::Duration::from_millis(#milliseconds)))
}

pub(super) fn limit(value: &Value) -> Result<TokenStream, ValueError> {
    if milliseconds(value)? == 0 {
        return Err(ValueError::Invalid("cannot be zero: remove it for no limit".to_owned()));
    }
    let limit = duration(value)?;
    Ok(quote!(::core::option::Option::Some(#limit)))
}

fn milliseconds(value: &Value) -> Result<u64, ValueError> {
    let Value::Literal(Lit::Str(literal)) = value else { return Err(ValueError::WrongKind("a duration in quotes")) };
    crate::duration::parse(&literal.value()).map_err(ValueError::Invalid)
}

pub(super) fn outside(value: &Value) -> Result<TokenStream, ValueError> {
    match value {
        Value::Literal(Lit::Str(literal)) if literal.value() == "deny" => Ok(quote!(false)),
        Value::Literal(Lit::Str(_)) => {
            Err(ValueError::Invalid(r#"takes "deny" only: remove it to allow calls outside a workflow"#.to_owned()))
        }
        _ => Err(ValueError::WrongKind("a string")),
    }
}

pub(super) fn flag(value: &Value) -> Result<TokenStream, ValueError> {
    match value {
        Value::None => Ok(quote!(true)),
        _ => Err(ValueError::WrongKind("no value")),
    }
}

/// The path of a function. The compiler reports errors about its type.
pub(super) fn path(value: &Value) -> Result<TokenStream, ValueError> {
    match value {
        Value::Other(Expr::Path(path)) => Ok(path.to_token_stream()),
        _ => Err(ValueError::WrongKind("the path of a function, without quotes")),
    }
}

/// A reference to a static. The compiler reports errors about its type.
pub(super) fn queue(value: &Value) -> Result<TokenStream, ValueError> {
    match value {
        Value::Other(Expr::Path(path)) => Ok(quote_spanned!(path.span()=> ::core::option::Option::Some(&#path))),
        _ => Err(ValueError::WrongKind("the path of a queue's `static`, without quotes")),
    }
}

/// A path in quotes, as for `serde`. It names a crate unless it begins with `crate`, `self` or `super`.
pub(super) fn crate_path(value: &Value) -> Result<TokenStream, ValueError> {
    let wrong_kind = || ValueError::WrongKind("the name under which the crate is imported, in quotes");
    let Value::Literal(Lit::Str(literal)) = value else { return Err(wrong_kind()) };
    let path = literal.parse_with(Path::parse_mod_style).map_err(|_| wrong_kind())?;
    let relative = ["crate", "self", "super"].iter().any(|word| path.segments[0].ident == word);
    if relative || path.leading_colon.is_some() { Ok(quote!(#path)) } else { Ok(quote!(::#path)) }
}

pub(super) fn allow(value: &Value) -> Result<TokenStream, ValueError> {
    match value {
        Value::Literal(Lit::Str(literal)) if literal.value() == "allow" => Ok(quote!(true)),
        Value::Literal(Lit::Str(_)) => {
            Err(ValueError::Invalid(r#"takes "allow" only: remove it to keep the check"#.to_owned()))
        }
        _ => Err(ValueError::WrongKind("a string")),
    }
}

/// The variant of the engine's `Isolation`.
pub(super) fn isolation(value: &Value) -> Result<TokenStream, ValueError> {
    one_of(
        value,
        &[("serializable", "Serializable"), ("repeatable read", "RepeatableRead"), ("read committed", "ReadCommitted")],
    )
}

/// The variant of the engine's `Misfire`.
pub(super) fn misfire(value: &Value) -> Result<TokenStream, ValueError> {
    one_of(value, &[("skip", "Skip"), ("once", "Once"), ("all", "All")])
}

/// The variant of the engine's `Overlap`.
pub(super) fn overlap(value: &Value) -> Result<TokenStream, ValueError> {
    one_of(value, &[("allow", "Allow"), ("skip", "Skip")])
}

/// One of several strings, each with its variant.
fn one_of(value: &Value, known: &[(&str, &str)]) -> Result<TokenStream, ValueError> {
    let Value::Literal(Lit::Str(literal)) = value else { return Err(ValueError::WrongKind("a string")) };
    if let Some((_, variant)) = known.iter().find(|(text, _)| literal.value() == *text) {
        return Ok(Ident::new(variant, Span::call_site()).to_token_stream());
    }
    let texts: Vec<String> = known.iter().map(|(text, _)| format!("{text:?}")).collect();
    let (last, others) = texts.split_last().expect("an option accepts at least one string");
    Err(ValueError::Invalid(format!("takes {} or {last}", others.join(", "))))
}

pub(super) fn zone(value: &Value) -> Result<TokenStream, ValueError> {
    let Value::Literal(Lit::Str(literal)) = value else {
        return Err(ValueError::WrongKind("the name of a time zone in quotes"));
    };
    time_zones::name_error(&literal.value())
        .map_or_else(|| Ok(quote!(#literal)), |error| Err(ValueError::Invalid(error)))
}
