//! Queues are statics in any module, and workflows name them by any path.

#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications)]
#![forbid(unsafe_code)]

/// The queues.
pub mod queues {
    use durable::prelude::*;

    /// Five at once in each process.
    #[queue]
    pub static TASKS: Queue = Queue::new("tasks").worker_concurrency(5);

    #[queue]
    static HIDDEN: Queue = Queue::new("hidden").concurrency(LIMIT);

    const LIMIT: u32 = 3;

    /// It can be conditional.
    #[queue]
    #[cfg(any())]
    pub static ELSEWHERE: Unknown = Unknown::new();
}

use durable::prelude::*;

#[durable::queue]
static USERS: Queue = Queue::new("users").partition_concurrency(2).partition_rate_limit(5, Duration::from_secs(1));

#[workflow(queue = queues::TASKS)]
async fn resize(picture: String) -> Result<String> {
    Ok(picture)
}

#[workflow(queue = USERS, timeout = "1h", max_recoveries = 3, version = "2")]
async fn welcome(user: String) -> Result<String> {
    Ok(user)
}

struct Shop;

impl Instance for Shop {
    fn instance_name(&self) -> &str {
        "shop"
    }
}

#[durable::instance]
impl Shop {
    #[workflow(queue = queues::TASKS)]
    async fn restock(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn queues_are_registered_with_their_lines() {
    #[queue]
    static INSIDE: Queue = Queue::new("inside");
    assert_eq!(queues::TASKS.name(), "tasks");
    assert_eq!(INSIDE.name(), "inside");

    // The engine finds all of them, with their lines.
    use durable::__private::{RegisteredQueue, inventory};
    let line_of = |queue: &'static Queue| {
        let mut all = inventory::iter::<RegisteredQueue>.into_iter();
        all.find(|it| std::ptr::eq(it.queue, queue)).map(|it| it.line)
    };
    let here = inventory::iter::<RegisteredQueue>.into_iter().filter(|it| it.file == file!());
    assert_eq!(here.count(), 4);
    assert_eq!(line_of(&queues::TASKS), Some(12));
    assert!(line_of(&INSIDE).is_some());
}
