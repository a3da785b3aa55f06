use durable::prelude::*;

fn main() {
    #[queue]
    let tasks = Queue::new("tasks");
    drop(tasks);
}
