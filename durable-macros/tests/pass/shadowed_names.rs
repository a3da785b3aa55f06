//! The expansion uses no name that the user's module can redefine.

#![deny(warnings)]
#![allow(dead_code, non_camel_case_types)]

mod durable {}
mod core {}
mod std {}

struct Option;
struct String;
struct Box;
struct Vec;
struct Future;
struct Send;
struct Default;
struct Clone;
struct Workflow;
struct Step;
fn call() {}
fn step_() {}
const WORKFLOW: u32 = 7;
const STEP: u32 = 8;
const ARGUMENTS: u32 = 9;

macro_rules! codec {
    () => {};
}
macro_rules! concat {
    () => {};
}
macro_rules! line {
    () => {};
}

type Result<T, E = ::durable::Error> = ::core::result::Result<T, E>;

#[::durable::workflow(max_recoveries = 3)]
async fn checkout(arguments: u32, call: u32, this: u32) -> Result<u32> {
    codec!();
    Result::Ok(charge(&arguments, call).await? + this + WORKFLOW)
}

#[::durable::step(retries = 3, timeout = "1s")]
async fn charge(arguments: &u32, step: u32) -> Result<u32> {
    concat!();
    line!();
    Result::Ok(arguments + step + STEP)
}

#[::durable::step]
fn digest(arguments: u32, r#move: u32) -> u32 {
    arguments + r#move + ARGUMENTS
}

#[::durable::transaction(read_only, database = "orders")]
async fn count(tx: &mut ::durable::sqlx::SqliteConnection, arguments: u32, this: &u32) -> Result<u32> {
    let _ = tx;
    Result::Ok(arguments + this)
}

struct Ok;
struct Err;
struct Some;
struct None;
struct Instance;

impl ::durable::Instance for Instance {
    fn instance_name(&self) -> &str {
        "one"
    }
}

#[::durable::instance]
impl Instance {
    #[::durable::workflow]
    async fn call(&self, arguments: u32, this: u32) -> Result<u32> {
        Result::Ok(count(arguments, &this).await? + ARGUMENTS)
    }
}

#[test]
fn the_expansion_uses_no_name_that_the_user_can_shadow() {
    let _ = Instance.call(1, 2).id("y");
    let runtime = ::tokio::runtime::Builder::new_multi_thread().build().expect("a runtime starts");
    assert_eq!(runtime.block_on(async { charge(&1, 2).await }).expect("it cannot fail"), 11);
    assert_eq!(runtime.block_on(async { digest(1, 2).await }), 12);
    let _ = checkout(1, 2, 3).id("x");
}
