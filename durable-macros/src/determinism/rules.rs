//! The calls that are not deterministic, and the messages about them.

/// A call that is found by its path.
pub(super) struct Rule {
    /// The segments of the path.
    pub(super) path: &'static [&'static str],
    pub(super) path_match: PathMatch,
    pub(super) hazard: Hazard,
}

/// Where the segments of a rule must be in the path of a call.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum PathMatch {
    /// At its start, and the last segment is a function: it starts with a lower-case letter.
    Start,
    /// At its end.
    End,
    /// At its end, where the last segment of the rule is a prefix.
    EndPrefix,
    /// It is a method with this name.
    Method,
    /// It is a macro with this path.
    Macro,
    /// It is a macro with this path, and there is an `async` block in its arguments.
    MacroOfAsync,
    /// At its end, and there is an `async` block in its arguments.
    EndOfAsync,
}

/// Why a call is not deterministic.
#[derive(Clone, Copy)]
pub(super) enum Hazard {
    Clock,
    RandomId,
    RandomNumber,
    Sleep,
    SleepUntil,
    Timeout,
    Interval,
    /// Work that could be a workflow or a step.
    LostWork,
    /// A task that could be a branch.
    LostTask,
    LostTasks,
    Race,
    CompletionOrder,
    Join,
    TryJoin,
    JoinAll,
    SideEffect,
    Query,
    Environment,
}

const fn rule(path: &'static [&'static str], path_match: PathMatch, hazard: Hazard) -> Rule {
    Rule { path, path_match, hazard }
}

use Hazard::{
    Clock, CompletionOrder, Environment, Interval, Join, JoinAll, LostTask, LostTasks, LostWork, Query, Race, RandomId,
    RandomNumber, SideEffect, Sleep, SleepUntil, Timeout, TryJoin,
};
use PathMatch::{End, EndOfAsync, EndPrefix, Macro, MacroOfAsync, Method, Start};

/// The first rule that matches counts.
pub(super) const RULES: &[Rule] = &[
    rule(&["Utc", "now"], End, Clock),
    rule(&["Local", "now"], End, Clock),
    rule(&["SystemTime", "now"], End, Clock),
    rule(&["Instant", "now"], End, Clock),
    rule(&["OffsetDateTime", "now_utc"], End, Clock),
    rule(&["Uuid", "new_v4"], End, RandomId),
    rule(&["Uuid", "now_v"], EndPrefix, RandomId),
    rule(&["rand"], Start, RandomNumber),
    rule(&["fastrand"], Start, RandomNumber),
    rule(&["thread_rng"], End, RandomNumber),
    rule(&["time", "sleep"], End, Sleep),
    rule(&["time", "sleep_until"], End, SleepUntil),
    rule(&["time", "timeout"], End, Timeout),
    rule(&["time", "timeout_at"], End, Timeout),
    rule(&["time", "interval"], End, Interval),
    rule(&["time", "interval_at"], End, Interval),
    rule(&["thread", "sleep"], End, Sleep),
    rule(&["thread", "spawn"], End, LostWork),
    rule(&["thread", "scope"], End, LostWork),
    rule(&["tokio", "spawn"], End, LostTask),
    rule(&["task", "spawn"], End, LostTask),
    rule(&["task", "spawn_local"], End, LostTask),
    rule(&["task", "spawn_blocking"], End, LostWork),
    rule(&["JoinSet", "new"], End, LostTasks),
    rule(&["tokio", "task"], Start, LostWork),
    rule(&["tokio", "select"], Macro, Race),
    rule(&["futures", "select"], Macro, Race),
    rule(&["futures", "select_biased"], Macro, Race),
    rule(&["futures_util", "select"], Macro, Race),
    rule(&["FuturesUnordered", "new"], End, CompletionOrder),
    rule(&["buffer_unordered"], Method, CompletionOrder),
    rule(&["for_each_concurrent"], Method, CompletionOrder),
    rule(&["tokio", "join"], MacroOfAsync, Join),
    rule(&["futures", "join"], MacroOfAsync, Join),
    rule(&["futures_util", "join"], MacroOfAsync, Join),
    rule(&["tokio", "try_join"], MacroOfAsync, TryJoin),
    rule(&["futures", "try_join"], MacroOfAsync, TryJoin),
    rule(&["futures_util", "try_join"], MacroOfAsync, TryJoin),
    rule(&["join_all"], EndOfAsync, JoinAll),
    rule(&["try_join_all"], EndOfAsync, JoinAll),
    rule(&["std", "fs"], Start, SideEffect),
    rule(&["tokio", "fs"], Start, SideEffect),
    rule(&["fs", "read"], End, SideEffect),
    rule(&["fs", "read_to_string"], End, SideEffect),
    rule(&["fs", "read_dir"], End, SideEffect),
    rule(&["fs", "write"], End, SideEffect),
    rule(&["fs", "remove_file"], End, SideEffect),
    rule(&["fs", "create_dir_all"], End, SideEffect),
    rule(&["fs", "metadata"], End, SideEffect),
    rule(&["fs", "rename"], End, SideEffect),
    rule(&["fs", "copy"], End, SideEffect),
    rule(&["fs", "create_dir"], End, SideEffect),
    rule(&["fs", "remove_dir_all"], End, SideEffect),
    rule(&["fs", "File", "open"], End, SideEffect),
    rule(&["fs", "File", "create"], End, SideEffect),
    rule(&["fs", "OpenOptions", "new"], End, SideEffect),
    rule(&["std", "net"], Start, SideEffect),
    rule(&["tokio", "net"], Start, SideEffect),
    rule(&["TcpStream", "connect"], EndPrefix, SideEffect),
    rule(&["TcpListener", "bind"], End, SideEffect),
    rule(&["UdpSocket", "bind"], End, SideEffect),
    rule(&["UnixStream", "connect"], End, SideEffect),
    rule(&["net", "lookup_host"], End, SideEffect),
    rule(&["process", "Command", "new"], End, SideEffect),
    rule(&["reqwest"], Start, SideEffect),
    rule(&["sqlx"], Start, Query),
    rule(&["sqlx", "query"], Macro, Query),
    rule(&["sqlx", "query_as"], Macro, Query),
    rule(&["sqlx", "query_scalar"], Macro, Query),
    rule(&["sqlx", "query_file"], Macro, Query),
    rule(&["sqlx", "query_file_as"], Macro, Query),
    rule(&["sqlx", "query_file_scalar"], Macro, Query),
    rule(&["sqlx", "query_unchecked"], Macro, Query),
    rule(&["sqlx", "query_as_unchecked"], Macro, Query),
    rule(&["PgPool", "connect"], EndPrefix, Query),
    rule(&["SqlitePool", "connect"], EndPrefix, Query),
    rule(&["PgConnection", "connect"], EndPrefix, Query),
    rule(&["SqliteConnection", "connect"], EndPrefix, Query),
    rule(&["PgPoolOptions", "new"], End, Query),
    rule(&["SqlitePoolOptions", "new"], End, Query),
    rule(&["env", "var"], End, Environment),
    rule(&["env", "var_os"], End, Environment),
    rule(&["env", "vars"], End, Environment),
    rule(&["env", "vars_os"], End, Environment),
    rule(&["env", "args"], End, Environment),
];

/// Segments of a path that are deterministic although a rule with `PathMatch::Start` matches it.
pub(super) const DETERMINISTIC: [&str; 13] = [
    "Url",
    "seed_from_u64",
    "from_seed",
    "from_rng",
    "from_str",
    "yield_now",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
    // Those of sqlx.
    "types",
];

impl Hazard {
    /// What is wrong with the call, and what to write instead. The text follows the name of the call.
    pub(super) fn message(self) -> &'static str {
        match self {
            Clock => "returns another time on replay; use `durable::now().await`",
            RandomId => "returns another id on replay; use `durable::uuid().await`",
            RandomNumber => "returns another number on replay; use `durable::random().await`",
            Sleep => "starts over on replay; use `durable::sleep(..).await`",
            SleepUntil => "starts over on replay; use `durable::sleep_until(..).await`",
            Timeout => {
                "starts over on replay; use `durable::select!` with `durable::sleep(..)`, or `#[step(timeout = \"..\")]`"
            }
            Interval => "starts over on replay; use a loop with `durable::sleep(..).await`",
            LostTask => "starts a task that is lost on restart; use `durable::spawn(..)`",
            LostTasks => {
                "starts tasks that are lost on restart; use `durable::map(..)`, or `durable::spawn(..)` for each"
            }
            LostWork => "starts work that is lost on restart; use a workflow with `.start()`, or a `#[step]`",
            CompletionOrder => {
                "gives results in order of completion, which may differ on replay; use `durable::map(..)`"
            }
            Join => "makes step order depend on timing, so a replay may see a different order; use `durable::join!`",
            TryJoin => {
                "makes step order depend on timing, so a replay may see a different order; use `durable::join!` and `?` on its results"
            }
            JoinAll => {
                "makes step order depend on timing, so a replay may see a different order; use `durable::map(..)`"
            }
            Race => "may choose another branch on replay; use `durable::select!`",
            SideEffect => "has side effects or changing results, and runs again on replay; use a `#[step]`",
            Query => {
                "uses a database, whose rows may change, and runs again on replay; use a `#[transaction]` or a `#[step]`"
            }
            Environment => "may return another value on replay; use an argument or a `#[step]`",
        }
    }
}
