//! What the body of a workflow must not do itself, since it would come out differently when the body runs again after a
//! restart: read a clock, draw lots, wait, start tasks, and speak with the world.
//!
//! The body is looked through word by word, so this finds names and not meaning: what a called function does, what was
//! imported under another name, and what stands in the body under a harmless name, is not found; and what is called
//! like one of these is found even if it is something else. For that there is a way out.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::faults::Faults;

/// One thing that is found by its path.
struct Rule {
    /// The words of the path that say it.
    path: &'static [&'static str],
    place: Place,
    advice: Advice,
}

/// Where in a path the words of a rule stand.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The path begins with them, and ends with a function, whose name is written small.
    Beginning,
    /// The path ends with them.
    End,
    /// The same, and the last word is the beginning of one.
    EndBegins,
    /// They are the name of a method.
    Method,
    /// It is this, and a macro.
    Macro,
    /// The same, and an `async` block is in what it is given.
    MacroOfAsync,
    /// The path ends with them, and an `async` block is in what it is given.
    EndOfAsync,
}

/// Why not, and what to write instead.
#[derive(Clone, Copy)]
enum Advice {
    Clock,
    Id,
    Lot,
    Sleep,
    SleepUntil,
    Timeout,
    Interval,
    Task,
    Spawn,
    Set,
    Race,
    Order,
    Join,
    TryJoin,
    JoinAll,
    World,
    Surroundings,
}

const fn rule(path: &'static [&'static str], place: Place, advice: Advice) -> Rule {
    Rule { path, place, advice }
}

use Advice::{
    Clock, Id, Interval, Join, JoinAll, Lot, Order, Race, Set, Sleep, SleepUntil, Spawn, Surroundings, Task, Timeout,
    TryJoin, World,
};
use Place::{Beginning, End, EndBegins, EndOfAsync, Macro, MacroOfAsync, Method};

/// The first that matches counts.
const RULES: &[Rule] = &[
    rule(&["Utc", "now"], End, Clock),
    rule(&["Local", "now"], End, Clock),
    rule(&["SystemTime", "now"], End, Clock),
    rule(&["Instant", "now"], End, Clock),
    rule(&["OffsetDateTime", "now_utc"], End, Clock),
    rule(&["Uuid", "new_v4"], End, Id),
    rule(&["Uuid", "now_v"], EndBegins, Id),
    rule(&["rand"], Beginning, Lot),
    rule(&["fastrand"], Beginning, Lot),
    rule(&["thread_rng"], End, Lot),
    rule(&["time", "sleep"], End, Sleep),
    rule(&["time", "sleep_until"], End, SleepUntil),
    rule(&["time", "timeout"], End, Timeout),
    rule(&["time", "timeout_at"], End, Timeout),
    rule(&["time", "interval"], End, Interval),
    rule(&["time", "interval_at"], End, Interval),
    rule(&["thread", "sleep"], End, Sleep),
    rule(&["thread", "spawn"], End, Task),
    rule(&["thread", "scope"], End, Task),
    rule(&["tokio", "spawn"], End, Spawn),
    rule(&["task", "spawn"], End, Spawn),
    rule(&["task", "spawn_local"], End, Spawn),
    rule(&["task", "spawn_blocking"], End, Task),
    rule(&["JoinSet", "new"], End, Set),
    rule(&["tokio", "task"], Beginning, Task),
    rule(&["tokio", "select"], Macro, Race),
    rule(&["futures", "select"], Macro, Race),
    rule(&["futures", "select_biased"], Macro, Race),
    rule(&["futures_util", "select"], Macro, Race),
    rule(&["FuturesUnordered", "new"], End, Order),
    rule(&["buffer_unordered"], Method, Order),
    rule(&["for_each_concurrent"], Method, Order),
    rule(&["tokio", "join"], MacroOfAsync, Join),
    rule(&["futures", "join"], MacroOfAsync, Join),
    rule(&["futures_util", "join"], MacroOfAsync, Join),
    rule(&["tokio", "try_join"], MacroOfAsync, TryJoin),
    rule(&["futures", "try_join"], MacroOfAsync, TryJoin),
    rule(&["futures_util", "try_join"], MacroOfAsync, TryJoin),
    rule(&["join_all"], EndOfAsync, JoinAll),
    rule(&["try_join_all"], EndOfAsync, JoinAll),
    rule(&["std", "fs"], Beginning, World),
    rule(&["tokio", "fs"], Beginning, World),
    rule(&["fs", "read"], End, World),
    rule(&["fs", "read_to_string"], End, World),
    rule(&["fs", "read_dir"], End, World),
    rule(&["fs", "write"], End, World),
    rule(&["fs", "remove_file"], End, World),
    rule(&["fs", "create_dir_all"], End, World),
    rule(&["fs", "File", "open"], End, World),
    rule(&["fs", "File", "create"], End, World),
    rule(&["process", "Command", "new"], End, World),
    rule(&["reqwest"], Beginning, World),
    rule(&["env", "var"], End, Surroundings),
    rule(&["env", "var_os"], End, Surroundings),
    rule(&["env", "vars"], End, Surroundings),
    rule(&["env", "vars_os"], End, Surroundings),
    rule(&["env", "args"], End, Surroundings),
];

/// Below what is found by its beginning, these give the same for the same.
const HARMLESS: [&str; 6] = ["Url", "seed_from_u64", "from_seed", "from_rng", "from_str", "yield_now"];

impl Advice {
    fn text(self) -> &'static str {
        match self {
            Clock => "gives another time when the workflow runs again after a restart: write `durable::now().await`",
            Id => "gives another id when the workflow runs again after a restart: write `durable::uuid().await`",
            Lot => "gives another number when the workflow runs again after a restart: write `durable::random().await`",
            Sleep => "begins anew when the workflow runs again after a restart: write `durable::sleep(..).await`",
            SleepUntil => {
                "begins anew when the workflow runs again after a restart: write `durable::sleep_until(..).await`"
            }
            Timeout => {
                "begins anew when the workflow runs again after a restart: write `durable::select!` with `durable::sleep(..)`, or `#[step(timeout = \"..\")]`"
            }
            Interval => {
                "begins anew when the workflow runs again after a restart: write a loop with `durable::sleep(..).await`"
            }
            Spawn => "starts something that nobody finds again after a restart: write `durable::spawn(..)`",
            Set => {
                "starts something that nobody finds again after a restart: write `durable::map(..)`, or `durable::spawn(..)` for each"
            }
            Order => {
                "goes by who is ready first, which can be another one when the workflow runs again after a restart: write `durable::map(..)`"
            }
            Join => {
                "numbers the calls in its `async` blocks as they get on, which can be otherwise when the workflow runs again after a restart: write `durable::join!`"
            }
            TryJoin => {
                "numbers the calls in its `async` blocks as they get on, which can be otherwise when the workflow runs again after a restart: write `durable::join!`, and `?` behind the results"
            }
            JoinAll => {
                "numbers the calls in its `async` blocks as they get on, which can be otherwise when the workflow runs again after a restart: write `durable::map(..)`"
            }
            Task => {
                "starts something that nobody finds again after a restart: make it a workflow and `.start()` it, or move it into a `#[step]`"
            }
            Race => "can choose another branch when the workflow runs again after a restart: write `durable::select!`",
            World => "happens again when the workflow runs again after a restart: move it into a `#[step]`",
            Surroundings => {
                "can differ where the workflow runs again after a restart: take it as an argument, or move it into a `#[step]`"
            }
        }
    }
}

/// Looks through the body of a workflow.
pub(crate) fn check(body: &TokenStream, faults: &mut Faults) {
    let tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => check(&group.stream(), faults),
            // A function in the body is one of its own, and what is imported is not called yet.
            TokenTree::Ident(word) if word == "fn" && is_ident(tokens.get(at + 1)) => {
                at += until(&tokens[at..], |token| is_group(token, Delimiter::Brace));
            }
            TokenTree::Ident(word) if word == "use" => at += until(&tokens[at..], |token| is_punct(Some(token), ';')),
            TokenTree::Ident(_) => {
                let length = path_length(&tokens[at..]);
                check_path(&tokens, at, length, faults);
                at += length - 1;
            }
            _ => {}
        }
        at += 1;
    }
}

/// One path, `length` tokens long from `at` on.
fn check_path(tokens: &[TokenTree], at: usize, length: usize, faults: &mut Faults) {
    let path = &tokens[at..at + length];
    let words: Vec<String> = path.iter().filter(|it| is_ident(Some(it))).map(ToString::to_string).collect();
    let words: Vec<&str> = words.iter().map(|word| word.strip_prefix("r#").unwrap_or(word)).collect();
    let after = tokens.get(at + length);
    let is_macro = is_punct(after, '!');
    let is_method = words.len() == 1 && is_punct(before(tokens, at), '.');
    // A field, a name that is bound, or ours.
    if words[0] == "durable" || (words.len() == 1 && !is_call(after)) {
        return;
    }
    let kind = match (is_macro, is_method) {
        (true, _) => Kind::Macro,
        (_, true) => Kind::Method,
        _ => Kind::Function,
    };
    // What it is given stands behind it, after the `!` of a macro or the types for it.
    let given = || {
        tokens[at + length..]
            .iter()
            .find_map(|it| if let TokenTree::Group(group) = it { Some(group.stream()) } else { None })
    };
    if let Some(rule) = RULES.iter().find(|rule| rule.matches(&words, kind, given)) {
        let shown = format!("{}{}", words.join("::"), if is_macro { "!" } else { "" });
        let out = "if it is harmless here, `#[workflow(nondeterminism = \"allow\")]` turns this check off";
        let path: TokenStream = path.iter().cloned().collect();
        faults.on(path, format!("`{shown}` {}; {out}", rule.advice.text()));
    }
}

/// What a path is the name of.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Function,
    Method,
    Macro,
}

impl Rule {
    fn matches(&self, words: &[&str], kind: Kind, given: impl Fn() -> Option<TokenStream>) -> bool {
        let (last, before) = self.path.split_last().expect("a rule has a word");
        match self.place {
            Macro => kind == Kind::Macro && words == self.path,
            MacroOfAsync => kind == Kind::Macro && words == self.path && given().is_some_and(has_async),
            Method => kind == Kind::Method && words == self.path,
            _ if kind != Kind::Function => false,
            EndOfAsync => words.ends_with(self.path) && given().is_some_and(has_async),
            Beginning => {
                words.len() > self.path.len()
                    && words.starts_with(self.path)
                    && words[words.len() - 1].starts_with(char::is_lowercase)
                    && !words.iter().any(|word| HARMLESS.contains(word))
            }
            End => words.ends_with(self.path),
            EndBegins => words.split_last().is_some_and(|(end, rest)| end.starts_with(last) && rest.ends_with(before)),
        }
    }
}

/// Whether there is an `async` block or closure, but for those that are given to one of ours: a call has its position
/// from the moment it is made.
fn has_async(tokens: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(word) if word == "async" => return true,
            TokenTree::Ident(word) if word == "durable" => {
                at += until(&tokens[at..], |it| matches!(it, TokenTree::Group(_)));
            }
            TokenTree::Group(group) if has_async(group.stream()) => return true,
            _ => {}
        }
        at += 1;
    }
    false
}

/// How many tokens the path has that begins here: words with `::` between them, up to the last word.
fn path_length(tokens: &[TokenTree]) -> usize {
    let mut length = 1;
    while is_punct(tokens.get(length), ':') && is_punct(tokens.get(length + 1), ':') && is_ident(tokens.get(length + 2))
    {
        length += 3;
    }
    length
}

/// Whether this follows a name that is called: its arguments, or the types for it.
fn is_call(after: Option<&TokenTree>) -> bool {
    after.is_some_and(|token| is_group(token, Delimiter::Parenthesis)) || is_punct(after, ':')
}

/// How many tokens there are before the first of this kind.
fn until(tokens: &[TokenTree], found: impl Fn(&TokenTree) -> bool) -> usize {
    tokens.iter().position(found).unwrap_or(tokens.len())
}

fn before(tokens: &[TokenTree], at: usize) -> Option<&TokenTree> {
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

    fn found(code: &str) -> usize {
        let mut faults = Faults::new();
        check(&code.parse().expect("test code lexes"), &mut faults);
        faults.tell().to_string().matches("compile_error").count()
    }

    #[test]
    fn each_is_found_once_and_wherever_it_stands() {
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
        ] {
            assert_eq!(found(code), 1, "{code}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
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
            "StatusCode::OK == reqwest::StatusCode::OK",
            "rand::rngs::StdRng::seed_from_u64(seed)",
            "use rand::Rng; use std::{fs::read, env};",
            "fn now() -> Instant { Instant::now() } async fn go() { tokio::spawn(async {}); }",
            "env!(\"CARGO_PKG_NAME\")",
            "Duration::from_secs(1); time::Duration::from_secs(1)",
            "let spawn = 1; let thread_rng = spawn;",
            "let f: fn(u8) -> u8 = double;",
            // Steps of the user's own may be called like these.
            "fs::read_config().await; File::create(name).await; Command::new(order).await; task::spawn_worker().await",
            "tokio::task::yield_now().await",
        ] {
            assert_eq!(found(code), 0, "{code}");
        }
    }
}
