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
    /// It is this, and a macro.
    Macro,
}

/// Why not, and what to write instead.
#[derive(Clone, Copy)]
enum Advice {
    Clock,
    Id,
    Lot,
    Wait,
    Task,
    Race,
    World,
    Surroundings,
}

const fn rule(path: &'static [&'static str], place: Place, advice: Advice) -> Rule {
    Rule { path, place, advice }
}

use Advice::{Clock, Id, Lot, Race, Surroundings, Task, Wait, World};
use Place::{Beginning, End, EndBegins, Macro};

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
    rule(&["time", "sleep"], End, Wait),
    rule(&["time", "sleep_until"], End, Wait),
    rule(&["time", "timeout"], End, Wait),
    rule(&["time", "timeout_at"], End, Wait),
    rule(&["time", "interval"], End, Wait),
    rule(&["time", "interval_at"], End, Wait),
    rule(&["thread", "sleep"], End, Wait),
    rule(&["thread", "spawn"], End, Task),
    rule(&["thread", "scope"], End, Task),
    rule(&["tokio", "spawn"], End, Task),
    rule(&["tokio", "task"], Beginning, Task),
    rule(&["task", "spawn"], End, Task),
    rule(&["task", "spawn_blocking"], End, Task),
    rule(&["task", "spawn_local"], End, Task),
    rule(&["JoinSet", "new"], End, Task),
    rule(&["tokio", "select"], Macro, Race),
    rule(&["futures", "select"], Macro, Race),
    rule(&["futures", "select_biased"], Macro, Race),
    rule(&["futures_util", "select"], Macro, Race),
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
            Wait => "begins anew when the workflow runs again after a restart: move it into a `#[step]`",
            Task => {
                "starts something that nobody finds again after a restart: make it a workflow and `.start()` it, or move it into a `#[step]`"
            }
            Race => "can choose another branch when the workflow runs again after a restart: move it into a `#[step]`",
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
    // A method, a field, a name that is bound, or ours.
    if words[0] == "durable" || (words.len() == 1 && (is_punct(before(tokens, at), '.') || !is_call(after))) {
        return;
    }
    if let Some(rule) = RULES.iter().find(|rule| rule.matches(&words, is_macro)) {
        let shown = format!("{}{}", words.join("::"), if is_macro { "!" } else { "" });
        let out = "if it is harmless here, `#[workflow(nondeterminism = \"allow\")]` turns this check off";
        let path: TokenStream = path.iter().cloned().collect();
        faults.on(path, format!("`{shown}` {}; {out}", rule.advice.text()));
    }
}

impl Rule {
    fn matches(&self, words: &[&str], is_macro: bool) -> bool {
        let (last, before) = self.path.split_last().expect("a rule has a word");
        match self.place {
            Macro => is_macro && words == self.path,
            _ if is_macro => false,
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
