//! The options between the parentheses of an attribute: one table for each attribute, one grammar for all.

mod values;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, ExprUnary, Lit, Token, UnOp};

use crate::facade::Facade;
use crate::faults::Faults;
use crate::nearest::distance;

pub(crate) use self::values::name_fault;

/// One option: how it is called, how it is written, and how its value becomes the tokens that are emitted.
struct Known {
    key: &'static str,
    form: &'static str,
    read: fn(&Value) -> Result<TokenStream, Mistake>,
}

/// The options that are no field of the engine's struct of options under the same name.
const NO_FIELDS: [&str; 6] = ["name", "crate", "retry_if", "nondeterminism", "isolation", "database"];

/// Every attribute has this one.
const CRATE: Known = Known { key: "crate", form: r#"crate = "durable""#, read: values::path_of_crate };

/// Why a value does not read.
enum Mistake {
    /// It is of another kind than this.
    Kind(&'static str),
    /// It is of the right kind, and completes the sentence "`key` ..".
    Value(String),
}

/// The options of one attribute.
pub(crate) struct Table {
    attribute: &'static str,
    known: &'static [Known],
}

pub(crate) const WORKFLOW: Table = Table {
    attribute: "#[workflow]",
    known: &[
        Known { key: "name", form: r#"name = "charge-order""#, read: values::name },
        Known { key: "max_recoveries", form: "max_recoveries = 5", read: values::count },
        Known { key: "timeout", form: r#"timeout = "1h""#, read: values::limit },
        Known { key: "queue", form: "queue = TASKS", read: values::queue },
        Known { key: "nondeterminism", form: r#"nondeterminism = "allow""#, read: values::allow },
        CRATE,
    ],
};

pub(crate) const STEP: Table = Table {
    attribute: "#[step]",
    known: &[
        Known { key: "name", form: r#"name = "charge-card""#, read: values::name },
        Known { key: "retries", form: "retries = 3", read: values::count },
        Known { key: "backoff", form: r#"backoff = "1s""#, read: values::pause },
        Known { key: "backoff_rate", form: "backoff_rate = 2.0", read: values::rate },
        Known { key: "max_backoff", form: r#"max_backoff = "1h""#, read: values::pause },
        Known { key: "jitter", form: "jitter = 0.2", read: values::share },
        Known { key: "retry_if", form: "retry_if = is_transient", read: values::path },
        Known { key: "timeout", form: r#"timeout = "30s""#, read: values::limit },
        Known { key: "outside", form: r#"outside = "deny""#, read: values::outside },
        CRATE,
    ],
};

pub(crate) const TRANSACTION: Table = Table {
    attribute: "#[transaction]",
    known: &[
        Known { key: "name", form: r#"name = "create-user""#, read: values::name },
        Known { key: "isolation", form: r#"isolation = "serializable""#, read: values::isolation },
        Known { key: "read_only", form: "read_only", read: values::flag },
        Known { key: "database", form: r#"database = "orders""#, read: values::name },
        CRATE,
    ],
};

pub(crate) const TEST: Table = Table {
    attribute: "#[durable::test]",
    known: &[
        Known { key: "sqlite", form: "sqlite", read: values::flag },
        Known { key: "postgres", form: "postgres", read: values::flag },
        CRATE,
    ],
};

pub(crate) const SCHEDULED: Table = Table {
    attribute: "#[scheduled]",
    known: &[
        Known { key: "tz", form: r#"tz = "Europe/Warsaw""#, read: values::zone },
        Known { key: "misfire", form: r#"misfire = "once""#, read: values::misfire },
        Known { key: "overlap", form: r#"overlap = "skip""#, read: values::overlap },
        CRATE,
    ],
};

pub(crate) const QUEUE: Table = Table { attribute: "#[queue]", known: &[CRATE] };

pub(crate) const INSTANCE: Table = Table { attribute: "#[durable::instance]", known: &[CRATE] };

/// What was given, each option at most once and with a value that reads.
pub(crate) struct Options {
    given: Vec<(&'static str, Span, TokenStream)>,
}

impl Table {
    pub(crate) fn parse(&self, tokens: TokenStream, faults: &mut Faults) -> Options {
        let mut options = Options { given: Vec::new() };
        let parsed = match Punctuated::<Given, Token![,]>::parse_terminated.parse2(tokens) {
            Ok(parsed) => parsed,
            Err(fault) => {
                faults.parse(fault);
                return options;
            }
        };
        // A key counts as given even when its value does not read: its second mention is a fault of its own.
        let mut seen = Vec::new();
        for given in parsed {
            let key = given.key.unraw().to_string();
            let Some(known) = self.known.iter().find(|known| known.key == key) else {
                faults.on(&given.key, self.unknown(&key));
                continue;
            };
            if seen.contains(&known.key) {
                faults.on(&given.key, format!("`{key}` is given twice"));
                continue;
            }
            seen.push(known.key);
            match (known.read)(&given.value) {
                Ok(tokens) => options.given.push((known.key, given.key.span(), tokens)),
                Err(Mistake::Kind(kind)) => {
                    faults.on(given.value.place(&given.key), format!("`{key}` takes {kind}: `{}`", known.form));
                }
                Err(Mistake::Value(fault)) => faults.on(given.value.place(&given.key), format!("`{key}` {fault}")),
            }
        }
        options
    }

    fn unknown(&self, key: &str) -> String {
        let all: Vec<String> = self.known.iter().map(|known| format!("`{}`", known.key)).collect();
        let all = format!("`{}` takes {}", self.attribute, all.join(", "));
        if let Some(other) =
            [WORKFLOW, STEP, TRANSACTION, SCHEDULED].iter().find(|it| it.known.iter().any(|known| known.key == key))
        {
            return format!("`{key}` is an option of `{}`; {all}", other.attribute);
        }
        let meant = self.known.iter().map(|known| known.key).filter(|known| alike(key, known));
        match meant.min_by_key(|known| distance(key, known)) {
            Some(meant) => format!("unknown option `{key}`, did you mean `{meant}`? {all}"),
            None => format!("unknown option `{key}`; {all}"),
        }
    }
}

impl Options {
    /// The value given for `key`, as it is emitted.
    pub(crate) fn value(&self, key: &str) -> Option<&TokenStream> {
        self.given.iter().find(|(given, ..)| *given == key).map(|(_, _, value)| value)
    }

    /// Where `key` was given.
    pub(crate) fn place(&self, key: &str) -> Option<Span> {
        self.given.iter().find(|(given, ..)| *given == key).map(|(_, place, _)| *place)
    }

    /// Where more than one attempt is asked for.
    pub(crate) fn retries(&self) -> Option<Span> {
        self.place("retries").filter(|_| self.value("retries").is_some_and(|count| count.to_string() != "0"))
    }

    /// The options of an attribute within another one, whose `crate` is also theirs.
    pub(crate) fn within(mut self, outer: &Self) -> Self {
        let renamed = outer.given.iter().find(|(key, ..)| *key == "crate" && self.place(key).is_none()).cloned();
        self.given.extend(renamed);
        self
    }

    /// The crate that the expansion speaks to.
    pub(crate) fn facade(&self) -> Facade {
        self.value("crate").cloned().map_or_else(Facade::default, Facade::renamed)
    }

    /// The fields of the engine's struct of options that are given as they are called.
    pub(crate) fn fields(&self) -> impl Iterator<Item = TokenStream> {
        self.given.iter().filter(|(key, ..)| !NO_FIELDS.contains(key)).map(|(key, _, value)| {
            let field = Ident::new(key, Span::call_site());
            quote!(#field: #value)
        })
    }
}

/// Whether somebody who writes `key` may mean `known`: nearly the same letters, a part of it, or the same beginning.
fn alike(key: &str, known: &str) -> bool {
    let beginning = key.bytes().zip(known.bytes()).take_while(|(a, b)| a == b).count();
    distance(key, known) <= 1 + key.len() / 4
        || known.contains(key)
        || key.contains(known)
        || beginning * 2 > known.len()
}

/// `key`, or `key = value`.
struct Given {
    key: Ident,
    value: Value,
}

enum Value {
    /// There is no `= value`.
    None,
    Literal(Lit),
    /// A number with a minus before it, kept apart because no option takes one.
    Negative(Expr),
    Other(Expr),
}

impl Parse for Given {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let Ok(key) = input.call(Ident::parse_any) else {
            return Err(input.error("options are written `name = value`, with a comma between two"));
        };
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(Self { key, value: Value::None });
        }
        if !input.peek(Token![=]) {
            return Err(input.error(format!("write `{key} = value`, and a comma between two options")));
        }
        input.parse::<Token![=]>()?;
        let value = match input.parse()? {
            Expr::Lit(ExprLit { lit, .. }) => Value::Literal(lit),
            negative @ Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => Value::Negative(negative),
            other => Value::Other(other),
        };
        Ok(Self { key, value })
    }
}

impl Value {
    /// What a fault in the value underlines.
    fn place(&self, key: &Ident) -> TokenStream {
        match self {
            Self::None => key.to_token_stream(),
            Self::Literal(literal) => literal.to_token_stream(),
            Self::Negative(expression) | Self::Other(expression) => expression.to_token_stream(),
        }
    }
}
