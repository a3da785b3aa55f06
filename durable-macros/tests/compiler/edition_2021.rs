//! The attributes in a crate of the edition 2021, which calls the dependency `renamed` and has a `durable` of its own,
//! names its types like those of the prelude, and denies what can be denied.

#![deny(warnings, missing_docs, unused, unsafe_code, unreachable_pub, rust_2018_idioms)]
#![allow(dead_code)]

mod durable {}
struct Option;
struct Future;
struct String;
struct Box;
struct Vec;
struct Ok;
struct Err;
struct Some;
struct None;

type Result<T, E = ::renamed::Error> = ::core::result::Result<T, E>;

#[::renamed::workflow(crate = "renamed", max_recoveries = 3)]
async fn checkout(order: u32, this: u32) -> Result<u32> {
    Result::Ok(charge(&order).await? + digest(this).await)
}

#[::renamed::step(crate = "renamed", retries = 3, timeout = "1s", retry_if = is_transient)]
async fn charge(order: &u32) -> Result<u32> {
    Result::Ok(*order)
}

fn is_transient(_: &::renamed::Error) -> bool {
    true
}

#[::renamed::step(crate = "renamed")]
fn digest(data: u32) -> u32 {
    data
}

struct Shop;

impl ::renamed::Instance for Shop {
    fn instance_name(&self) -> &str {
        "corner"
    }
}

#[::renamed::instance(crate = "renamed")]
impl Shop {
    #[::renamed::workflow]
    async fn open(&self, day: u32) -> Result<u32> {
        Result::Ok(digest(day).await)
    }
}

#[::renamed::workflow(crate = "renamed", timeout = "1h")]
async fn branches(order: u32) -> Result<u32> {
    let (left, right) = ::renamed::join!(charge(&order), async { digest(order).await });
    let won = ::renamed::select! {
        digested = digest(right) => digested,
        charged = charge(&order) => charged?,
    };
    Result::Ok(left? + won)
}

#[::renamed::test(crate = "renamed")]
async fn sells(_app: ::renamed::testing::TestApp) {}

fn main() {
    let _call = checkout(1, 2).id("x");
    let _call = Shop.open(1).id("y");
    let _call = branches(1).id("z");
}
