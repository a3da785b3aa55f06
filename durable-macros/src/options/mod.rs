//! The options in the parentheses of an attribute: one table for each attribute, and one grammar for all.

mod values;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, ExprUnary, Lit, Token, UnOp};

use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::suggest::distance;

pub(crate) use self::values::name_error;

/// One option.
struct OptionSpec {
    key: &'static str,
    example: &'static str,
    /// Converts the value to the tokens of the expansion.
    parse: fn(&Value) -> Result<TokenStream, ValueError>,
}

/// The options that are not fields of the engine's option structs.
const NOT_STRUCT_FIELDS: [&str; 6] = ["name", "crate", "retry_if", "nondeterminism", "isolation", "database"];

/// Every attribute has this one.
const CRATE: OptionSpec = OptionSpec { key: "crate", example: r#"crate = "durable""#, parse: values::crate_path };

/// Why a value is rejected.
enum ValueError {
    /// It is not of this kind.
    WrongKind(&'static str),
    /// It is of the right kind. The text completes the sentence "`key` ..".
    Invalid(String),
}

/// The options of one attribute.
pub(crate) struct OptionTable {
    attribute: &'static str,
    specs: &'static [OptionSpec],
}

pub(crate) const WORKFLOW: OptionTable = OptionTable {
    attribute: "#[workflow]",
    specs: &[
        OptionSpec { key: "name", example: r#"name = "charge-order""#, parse: values::name },
        OptionSpec { key: "max_recoveries", example: "max_recoveries = 5", parse: values::count },
        OptionSpec { key: "timeout", example: r#"timeout = "1h""#, parse: values::limit },
        OptionSpec { key: "queue", example: "queue = TASKS", parse: values::queue },
        OptionSpec { key: "version", example: r#"version = "2""#, parse: values::version },
        OptionSpec { key: "nondeterminism", example: r#"nondeterminism = "allow""#, parse: values::allow },
        CRATE,
    ],
};

pub(crate) const STEP: OptionTable = OptionTable {
    attribute: "#[step]",
    specs: &[
        OptionSpec { key: "name", example: r#"name = "charge-card""#, parse: values::name },
        OptionSpec { key: "retries", example: "retries = 3", parse: values::count },
        OptionSpec { key: "backoff", example: r#"backoff = "1s""#, parse: values::duration },
        OptionSpec { key: "backoff_rate", example: "backoff_rate = 2.0", parse: values::rate },
        OptionSpec { key: "max_backoff", example: r#"max_backoff = "1h""#, parse: values::duration },
        OptionSpec { key: "jitter", example: "jitter = 0.2", parse: values::fraction },
        OptionSpec { key: "retry_if", example: "retry_if = is_transient", parse: values::path },
        OptionSpec { key: "timeout", example: r#"timeout = "30s""#, parse: values::limit },
        OptionSpec { key: "outside", example: r#"outside = "deny""#, parse: values::outside },
        CRATE,
    ],
};

pub(crate) const TRANSACTION: OptionTable = OptionTable {
    attribute: "#[transaction]",
    specs: &[
        OptionSpec { key: "name", example: r#"name = "create-user""#, parse: values::name },
        OptionSpec { key: "isolation", example: r#"isolation = "serializable""#, parse: values::isolation },
        OptionSpec { key: "read_only", example: "read_only", parse: values::flag },
        OptionSpec { key: "database", example: r#"database = "orders""#, parse: values::name },
        CRATE,
    ],
};

pub(crate) const TEST: OptionTable = OptionTable {
    attribute: "#[durable::test]",
    specs: &[
        OptionSpec { key: "sqlite", example: "sqlite", parse: values::flag },
        OptionSpec { key: "postgres", example: "postgres", parse: values::flag },
        OptionSpec { key: "setup", example: "setup = make_tables", parse: values::path },
        OptionSpec { key: "builder", example: "builder = with_state", parse: values::path },
        OptionSpec { key: "timeout", example: r#"timeout = "30s""#, parse: values::limit },
        CRATE,
    ],
};

pub(crate) const SCHEDULED: OptionTable = OptionTable {
    attribute: "#[scheduled]",
    specs: &[
        OptionSpec { key: "tz", example: r#"tz = "Europe/Warsaw""#, parse: values::zone },
        OptionSpec { key: "misfire", example: r#"misfire = "once""#, parse: values::misfire },
        OptionSpec { key: "overlap", example: r#"overlap = "skip""#, parse: values::overlap },
        CRATE,
    ],
};

pub(crate) const QUEUE: OptionTable = OptionTable { attribute: "#[queue]", specs: &[CRATE] };

pub(crate) const INSTANCE: OptionTable = OptionTable { attribute: "#[durable::instance]", specs: &[CRATE] };

/// The valid options of one attribute, each at most once.
pub(crate) struct Options {
    /// The key, its span, and the tokens of the value.
    entries: Vec<(&'static str, Span, TokenStream)>,
}

impl OptionTable {
    pub(crate) fn parse(&self, tokens: TokenStream, diagnostics: &mut Diagnostics) -> Options {
        let mut options = Options { entries: Vec::new() };
        let parsed = match Punctuated::<OptionSyntax, Token![,]>::parse_terminated.parse2(tokens) {
            Ok(parsed) => parsed,
            Err(error) => {
                diagnostics.push(error);
                return options;
            }
        };
        // A key counts as given even if its value is invalid: giving it twice is an error of its own.
        let mut seen = Vec::new();
        for OptionSyntax { key: key_ident, value } in parsed {
            let key = key_ident.unraw().to_string();
            let Some(spec) = self.specs.iter().find(|spec| spec.key == key) else {
                diagnostics.error_on(&key_ident, self.unknown_option(&key));
                continue;
            };
            if seen.contains(&spec.key) {
                diagnostics.error_on(&key_ident, format!("`{key}` is given twice: remove one"));
                continue;
            }
            seen.push(spec.key);
            match (spec.parse)(&value) {
                Ok(tokens) => options.entries.push((spec.key, key_ident.span(), tokens)),
                Err(ValueError::WrongKind(kind)) => {
                    let message = format!("`{key}` takes {kind}: `{}`", spec.example);
                    diagnostics.error_on(value.error_tokens(&key_ident), message);
                }
                Err(ValueError::Invalid(error)) => {
                    diagnostics.error_on(value.error_tokens(&key_ident), format!("`{key}` {error}"));
                }
            }
        }
        options
    }

    fn unknown_option(&self, key: &str) -> String {
        let all: Vec<String> = self.specs.iter().map(|spec| format!("`{}`", spec.key)).collect();
        let all = format!("`{}` takes {}", self.attribute, all.join(", "));
        if let Some(other) =
            [WORKFLOW, STEP, TRANSACTION, SCHEDULED].iter().find(|it| it.specs.iter().any(|spec| spec.key == key))
        {
            return format!("`{key}` is an option of `{}`; {all}", other.attribute);
        }
        let similar = self.specs.iter().map(|spec| spec.key).filter(|known| is_similar(key, known));
        match similar.min_by_key(|known| distance(key, known)) {
            Some(suggestion) => format!("unknown option `{key}`, did you mean `{suggestion}`? {all}"),
            None => format!("unknown option `{key}`; {all}"),
        }
    }
}

impl Options {
    /// The tokens of the value of `key`.
    pub(crate) fn value(&self, key: &str) -> Option<&TokenStream> {
        self.entries.iter().find(|(given, ..)| *given == key).map(|(_, _, value)| value)
    }

    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(given, ..)| *given == key).map(|(_, span, _)| *span)
    }

    /// The span of `retries`, if it asks for more than one attempt.
    pub(crate) fn retries_span(&self) -> Option<Span> {
        self.key_span("retries").filter(|_| self.value("retries").is_some_and(|count| count.to_string() != "0"))
    }

    /// Takes the option `crate` from the attribute of the surrounding block, if there is none here.
    pub(crate) fn inherit_crate(mut self, outer: &Self) -> Self {
        let outer = outer.entries.iter().find(|(key, ..)| *key == "crate" && self.key_span(key).is_none()).cloned();
        self.entries.extend(outer);
        self
    }

    /// The path of `durable` in the expansion.
    pub(crate) fn crate_path(&self) -> CratePath {
        self.value("crate").cloned().map_or_else(CratePath::default, CratePath::new)
    }

    /// The options that are fields of the engine's option structs, as `field: value`.
    pub(crate) fn struct_fields(&self) -> impl Iterator<Item = TokenStream> {
        self.entries.iter().filter(|(key, ..)| !NOT_STRUCT_FIELDS.contains(key)).map(|(key, _, value)| {
            let field = Ident::new(key, Span::call_site());
            quote!(#field: #value)
        })
    }
}

/// Whether `key` may be a misspelling of `known`: a small distance, one contains the other, or a long common prefix.
fn is_similar(key: &str, known: &str) -> bool {
    let common_prefix = key.bytes().zip(known.bytes()).take_while(|(a, b)| a == b).count();
    distance(key, known) <= 1 + key.len() / 4
        || known.contains(key)
        || key.contains(known)
        || common_prefix * 2 > known.len()
}

/// `key`, or `key = value`.
struct OptionSyntax {
    key: Ident,
    value: Value,
}

enum Value {
    /// Without `= value`.
    None,
    Literal(Lit),
    /// An expression that begins with a minus. No option takes a negative number.
    Negative(Expr),
    Other(Expr),
}

impl Parse for OptionSyntax {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let Ok(key) = input.call(Ident::parse_any) else {
            return Err(input.error("expected an option: `name = value`, with a comma between two options"));
        };
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(Self { key, value: Value::None });
        }
        if !input.peek(Token![=]) {
            return Err(input.error(format!("expected `=`: write `{key} = value`")));
        }
        input.parse::<Token![=]>()?;
        let value = match without_group(input.parse()?) {
            Expr::Lit(ExprLit { lit, .. }) => Value::Literal(lit),
            negative @ Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => Value::Negative(negative),
            other => Value::Other(other),
        };
        Ok(Self { key, value })
    }
}

/// An expression without the invisible group around a fragment that another macro passed on: `name = $name`.
fn without_group(expression: Expr) -> Expr {
    match expression {
        Expr::Group(group) => without_group(*group.expr),
        expression => expression,
    }
}

impl Value {
    /// The tokens that an error about the value underlines.
    fn error_tokens(&self, key: &Ident) -> TokenStream {
        match self {
            Self::None => key.to_token_stream(),
            Self::Literal(literal) => literal.to_token_stream(),
            Self::Negative(expression) | Self::Other(expression) => expression.to_token_stream(),
        }
    }
}
