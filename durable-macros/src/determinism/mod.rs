//! Finds calls in the body of a workflow that could have other results when it is replayed after a restart: clocks, random
//! numbers, sleeps, tasks, and I/O.
//!
//! The body is searched token by token, so the check knows names and no types. It misses what a called function does
//! and what was imported under another name, and it reports other functions with the same name. Therefore
//! `nondeterminism = "allow"` turns it off.

mod inline_step;
mod rules;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use self::rules::{DETERMINISTIC, PathMatch, RULES, Rule};
use crate::diagnostics::Diagnostics;

/// Reports the calls in the body of a workflow that are not deterministic.
pub(crate) fn check(body: &TokenStream, diagnostics: &mut Diagnostics) {
    let tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => check(&group.stream(), diagnostics),
            // A nested function runs only where it is called, and an import calls nothing.
            TokenTree::Ident(ident) if ident == "fn" && is_ident(tokens.get(at + 1)) => {
                at += tokens_before(&tokens[at..], |token| is_group(token, Delimiter::Brace));
            }
            TokenTree::Ident(ident) if ident == "use" => {
                at += tokens_before(&tokens[at..], |token| is_punct(Some(token), ';'));
            }
            TokenTree::Ident(_) => {
                let length = path_length(&tokens[at..]);
                check_path(&tokens, at, length, diagnostics);
                at += length - 1;
                if let Some((index, arguments)) = inline_step(&tokens, at + 1 - length, length) {
                    inline_step::check(&arguments, diagnostics);
                    at = index;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Checks the path of `length` tokens at index `at`.
fn check_path(tokens: &[TokenTree], at: usize, length: usize, diagnostics: &mut Diagnostics) {
    let path = &tokens[at..at + length];
    let segments: Vec<String> = path.iter().filter(|it| is_ident(Some(it))).map(ToString::to_string).collect();
    let segments: Vec<&str> = segments.iter().map(|it| it.strip_prefix("r#").unwrap_or(it)).collect();
    // The driver of databases is exported by durable.
    let segments = if segments.starts_with(&["durable", "sqlx"]) { &segments[1..] } else { &segments[..] };
    let after = tokens.get(at + length);
    let is_macro = is_punct(after, '!');
    let is_method = segments.len() == 1 && is_punct(token_before(tokens, at), '.');
    // A function of durable, or a field or variable.
    if segments[0] == "durable" || (segments.len() == 1 && !is_call(after)) {
        return;
    }
    let kind = match (is_macro, is_method) {
        (true, _) => Kind::Macro,
        (_, true) => Kind::Method,
        _ => Kind::Function,
    };
    // The arguments follow the path, the `!` of a macro, or the generic arguments.
    let arguments = || {
        tokens[at + length..]
            .iter()
            .find_map(|it| if let TokenTree::Group(group) = it { Some(group.stream()) } else { None })
    };
    if let Some(rule) = RULES.iter().find(|rule| rule.matches(segments, kind, arguments)) {
        let name = format!("{}{}", segments.join("::"), if is_macro { "!" } else { "" });
        let opt_out = "`#[workflow(nondeterminism = \"allow\")]` turns this check off";
        let path: TokenStream = path.iter().cloned().collect();
        diagnostics.error_on(path, format!("`{name}` {} ({opt_out})", rule.hazard.message()));
    }
}

/// The index and the contents of the arguments, if the path of `length` tokens at index `at` is a call of
/// `durable::step`: what runs in a step need not be deterministic.
fn inline_step(tokens: &[TokenTree], at: usize, length: usize) -> Option<(usize, TokenStream)> {
    let is_step = matches!(&tokens[at..at + length], [TokenTree::Ident(first), .., TokenTree::Ident(last)] if first == "durable" && last == "step");
    let after = tokens.get(at + length);
    if !is_step || !is_call(after) {
        return None;
    }
    let mut rest = tokens.iter().enumerate().skip(at + length);
    rest.find_map(|(index, token)| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Some((index, group.stream())),
        _ => None,
    })
}

/// What a path names.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Function,
    Method,
    Macro,
}

impl Rule {
    fn matches(&self, segments: &[&str], kind: Kind, arguments: impl Fn() -> Option<TokenStream>) -> bool {
        let (last, before) = self.path.split_last().expect("a rule has a segment");
        match self.path_match {
            PathMatch::Macro => kind == Kind::Macro && segments == self.path,
            PathMatch::MacroOfAsync => {
                kind == Kind::Macro && segments == self.path && arguments().is_some_and(has_async)
            }
            PathMatch::Method => kind == Kind::Method && segments == self.path,
            _ if kind != Kind::Function => false,
            PathMatch::EndOfAsync => segments.ends_with(self.path) && arguments().is_some_and(has_async),
            PathMatch::Start => {
                segments.len() > self.path.len()
                    && segments.starts_with(self.path)
                    && segments[segments.len() - 1].starts_with(char::is_lowercase)
                    && !segments.iter().any(|segment| DETERMINISTIC.contains(segment))
            }
            PathMatch::End => segments.ends_with(self.path),
            PathMatch::EndPrefix => {
                segments.split_last().is_some_and(|(end, rest)| end.starts_with(last) && rest.ends_with(before))
            }
        }
    }
}

/// Whether the tokens contain an `async` block or closure, other than in the arguments of a function of durable: a call
/// has its position from when it is made, and not from when it is polled.
fn has_async(tokens: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(ident) if ident == "async" => return true,
            TokenTree::Ident(ident) if ident == "durable" => {
                at += tokens_before(&tokens[at..], |it| matches!(it, TokenTree::Group(_)));
            }
            TokenTree::Group(group) if has_async(group.stream()) => return true,
            _ => {}
        }
        at += 1;
    }
    false
}

/// The number of tokens of the path at the start of `tokens`: identifiers with `::` between them.
fn path_length(tokens: &[TokenTree]) -> usize {
    let mut length = 1;
    while is_punct(tokens.get(length), ':') && is_punct(tokens.get(length + 1), ':') && is_ident(tokens.get(length + 2))
    {
        length += 3;
    }
    length
}

/// Whether the token after a name shows that it is called: it begins the arguments, or the generic arguments.
fn is_call(after: Option<&TokenTree>) -> bool {
    after.is_some_and(|token| is_group(token, Delimiter::Parenthesis)) || is_punct(after, ':')
}

/// The number of tokens before the first one that matches.
fn tokens_before(tokens: &[TokenTree], matches: impl Fn(&TokenTree) -> bool) -> usize {
    tokens.iter().position(matches).unwrap_or(tokens.len())
}

fn token_before(tokens: &[TokenTree], at: usize) -> Option<&TokenTree> {
    at.checked_sub(1).and_then(|at| tokens.get(at))
}

fn is_ident(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Ident(_)))
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_errors(code: &str) -> usize {
        let mut diagnostics = Diagnostics::new();
        check(&code.parse().expect("test code lexes"), &mut diagnostics);
        diagnostics.into_compile_error().to_string().matches("compile_error").count()
    }

    #[test]
    fn each_nondeterministic_call_is_reported_once() {
        for code in [
            "let a = Utc::now();",
            "let a = chrono::Local::now().date_naive();",
            "go(std::time::SystemTime::now(), 1)",
            "let a = move || { [::tokio::time::Instant::now()] };",
            "println!(\"{}\", Uuid::new_v4())",
            "uuid::Uuid::now_v7()",
            "let a: u8 = rand::random::<u8>();",
            "rand::rng().random_range(0..3)",
            "let x = thread_rng().gen();",
            "fastrand::u32(..)",
            "tokio::time::sleep(second).await",
            "time::timeout(second, call).await",
            "std::thread::sleep(second)",
            "let a = tokio::spawn(async {});",
            "tokio::task::spawn(async {})",
            "let mut set = tokio::task::JoinSet::new();",
            "tokio::join!(async { a().await; b().await }, c())",
            "futures::try_join!(a(), async move { b().await })",
            "futures::future::join_all(ids.iter().map(|id| async move { a(id).await })).await",
            "join_all::<Vec<_>>(vec![go(async {})]).await",
            "let mut all = FuturesUnordered::new();",
            "stream::iter(ids).map(a).buffer_unordered(8)",
            "ids.for_each_concurrent::<u8>(None, a).await",
            "tokio::task::spawn_blocking(|| 1)",
            "tokio::select! { a = b => {} }",
            "std::fs::read_to_string(path)?",
            "fs::write(path, text)?",
            "tokio::fs::File::open(path).await?",
            "let a = env::var(\"HOME\");",
            "std::env::vars_os()",
            "reqwest::get(url).await?.text().await?",
            "let a = reqwest::Client::new();",
            "std::net::TcpStream::connect(address)?",
            "TcpStream::connect_timeout(&address, second)?",
            "tokio::net::TcpListener::bind(address).await?",
            "UdpSocket::bind(address).await?",
            "tokio::net::lookup_host(name).await?",
            "sqlx::query(\"delete from t\").execute(&pool).await?",
            "sqlx::query_as::<_, (u8,)>(text).fetch_one(&pool).await?",
            "sqlx::query!(\"select 1\").fetch_one(&pool).await?",
            "durable::sqlx::query(text).execute(&pool).await?",
            "let pool = PgPool::connect(url).await?;",
            "PgPool::connect_lazy(url)?",
            "SqlitePoolOptions::new().connect(url).await?",
        ] {
            assert_eq!(count_errors(code), 1, "{code}");
        }
    }

    #[test]
    fn deterministic_code_with_similar_names_is_not_reported() {
        for code in [
            "durable::now().await",
            "durable::sleep(second).await",
            "sleep(second).await",
            "tokio::join!(a, b)",
            "tokio::join!(a(x), b(&y)); let c = async {};",
            "tokio::join!(durable::step(\"a\", async { 1 }), durable::step(\"b\", async { 2 }))",
            "join_all(ids.iter().map(|id| a(id))).await",
            "durable::join!(async { a().await }, b())",
            "durable::select! { a = async { b().await } => a, c = d() => c }",
            "all.join_all(async {}); let buffer_unordered = 1;",
            "let now = clock.now(); self.rand.thread_rng()",
            "let client: reqwest::Client = durable::state::<reqwest::Client>();",
            "reqwest::Url::parse(text)?",
            "std::net::Ipv4Addr::new(127, 0, 0, 1); std::net::SocketAddr::new(ip, port); sqlx::types::Json(value)",
            "std::net::IpAddr::from_str(text)?; let pool = durable::state::<sqlx::PgPool>();",
            "durable::step(\"get\", || async { Ok(reqwest::get(url).await?.text().await?) }).retries(3).await?",
            "StatusCode::OK == reqwest::StatusCode::OK",
            "rand::rngs::StdRng::seed_from_u64(seed)",
            "use rand::Rng; use std::{fs::read, env};",
            "fn now() -> Instant { Instant::now() } async fn go() { tokio::spawn(async {}); }",
            "env!(\"CARGO_PKG_NAME\")",
            "Duration::from_secs(1); time::Duration::from_secs(1)",
            "let spawn = 1; let thread_rng = spawn;",
            "let f: fn(u8) -> u8 = double;",
            // The user's own steps may have such names.
            "fs::read_config().await; File::create(name).await; Command::new(order).await; task::spawn_worker().await",
            "tokio::task::yield_now().await",
        ] {
            assert_eq!(count_errors(code), 0, "{code}");
        }
    }
}
