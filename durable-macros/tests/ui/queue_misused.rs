use durable::prelude::*;

#[queue]
const TASKS: Queue = Queue::new("tasks");

#[queue]
async fn backup() {}

#[queue]
struct Orders;

#[queue]
static NUMBER: u32 = 5;

#[queue]
static mut CHANGING: Queue = Queue::new("changing");

#[queue(name = "mail", limit = 5)]
static MAIL: Queue = Queue::new("mail");

#[queue]
static ZERO: Queue = Queue::new("").concurrency(0).rate_limit(0, Duration::from_secs(1));

fn main() {
    let _ = (TASKS, Orders);
    drop(backup());
}
