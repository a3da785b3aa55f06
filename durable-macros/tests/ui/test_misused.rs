use durable::testing::TestApp;

#[durable::test]
fn plain(app: TestApp) {
    drop(app);
}

#[durable::test]
async fn two_arguments(app: TestApp, orders: Vec<String>) {
    drop((app, orders));
}

#[durable::test(mysql)]
async fn unknown_store(app: TestApp) {
    drop(app);
}

#[durable::test(sqlite, postgres)]
async fn two_stores(app: TestApp) {
    drop(app);
}

#[durable::test(postgres = true)]
async fn store_with_a_value(app: TestApp) {
    drop(app);
}

#[durable::test]
#[tokio::test]
async fn two_harnesses() {}

#[durable::test]
async fn generic<T>() {}

#[durable::test]
async fn another_argument(order: String) {
    drop(order);
}

fn main() {}
