//! A shop, whose workflows the pages show: some have ended, and some wait or fail for one reason each.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

use durable::prelude::*;
use durable::queue;

use crate::support::{TestDatabase, fresh, until};

#[queue]
static ORDERS: Queue = Queue::new("shop-orders").concurrency(20);
#[queue]
static REPORTS: Queue = Queue::new("shop-reports");
#[queue]
static MAILS: Queue = Queue::new("shop-mails").rate_limit(1, Duration::from_hours(1));

/// The shops that run the code of the next release.
static CHANGED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// The order that takes its time, so that a person sees something of it.
const SLOW: u32 = 200;

async fn take_time(order: u32, milliseconds: u64) {
    if order == SLOW {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

#[step]
async fn reserve_stock(order: u32) -> u32 {
    take_time(order, 200).await;
    order + 100
}

#[step(retries = 3, backoff = "1ms")]
async fn charge_card(order: u32) -> Result<u32> {
    take_time(order, 250).await;
    match durable::step_status().map(|it| it.attempt) {
        Some(1 | 2) => Err(Error::msg("the bank does not answer")),
        _ => Ok(order * 1_000),
    }
}

#[step]
async fn pack_parcel(order: u32) -> String {
    take_time(order, 400).await;
    format!("parcel of {order}")
}

#[step]
async fn print_label(order: u32) -> String {
    take_time(order, 250).await;
    format!("label of {order}")
}

#[step]
async fn order_by_post(order: u32) -> u32 {
    order
}

#[step]
async fn order_by_courier(order: u32) -> u32 {
    order
}

#[step(retries = 9, backoff = "1h")]
async fn call_supplier(order: u32) -> Result<u32> {
    Err(Error::msg(format!("the supplier refuses order {order}")))
}

#[step]
async fn check_address(order: u32) -> Result<u32> {
    take_time(order, 150).await;
    if order == 13 { Err(Error::msg("no such street")) } else { Ok(order) }
}

#[workflow]
async fn shop_ship(order: u32) -> Result<String> {
    let (parcel, label) = durable::join!(pack_parcel(order), print_label(order));
    Ok(format!("{parcel}, {label}"))
}

/// An order: it is paid by a message.
#[workflow]
async fn shop_checkout(order: u32, note: String) -> Result<String> {
    reserve_stock(order).await;
    charge_card(order).await?;
    check_address(order).await?;
    durable::set_event("stage", &"charged").await?;
    durable::write_stream("log", &format!("{note}: charged")).await?;
    durable::sleep(Duration::from_millis(if order == SLOW { 350 } else { 30 })).await;
    let shipped = shop_ship(order).await?;
    if order >= 100 {
        durable::recv::<u64>("payment", Duration::from_hours(24)).await?;
    }
    Ok(shipped)
}

/// Its code changes with the next release.
#[workflow]
async fn shop_delivery(shop: String, order: u32) -> Result<u32> {
    let is_changed = CHANGED.lock().unwrap().contains(&shop);
    if is_changed {
        order_by_courier(order).await
    } else {
        order_by_post(order).await
    };
    durable::recv::<u64>("delivered", Duration::MAX).await?;
    Ok(order)
}

#[workflow]
async fn shop_supply(order: u32) -> Result<u32> {
    call_supplier(order).await
}

#[workflow]
async fn shop_report(number: u32) -> Result<u32> {
    Ok(number)
}

#[workflow]
async fn shop_mail(number: u32) -> Result<u32> {
    Ok(number)
}

#[scheduled("0 2 * * *", tz = "Europe/Warsaw")]
#[workflow]
async fn shop_nightly(_scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    Ok(())
}

/// A shop after a crash and a deploy.
pub(super) async fn planted(database: &TestDatabase) -> Durable {
    let shop = fresh("shop");
    let app = database.builder("shop").launch().await.unwrap();
    app.scope(async {
        shop_delivery(shop.clone(), 7).id("delivery-7").start().await.unwrap();
        shop_checkout(100, "a gift".into()).id("order-100").label("tenant", "acme").start().await.unwrap();
    })
    .await;
    recorded(&app, "delivery-7", 1).await;
    recorded(&app, "order-100", 9).await;
    database.crash(app).await;

    CHANGED.lock().unwrap().insert(shop);
    let app = database.builder("shop").launch().await.unwrap();
    Box::pin(app.scope(async {
        for order in 1..=6 {
            shop_checkout(order, "by post".into()).id(format!("order-{order}")).queue(&ORDERS).await.unwrap();
        }
        shop_checkout(13, "to nowhere".into()).id("order-13").await.unwrap_err();
        shop_supply(8).id("supply-8").start().await.unwrap();
        REPORTS.pause().await.unwrap();
        for number in 1..=3 {
            shop_report(number).id(format!("report-{number}")).queue(&REPORTS).start().await.unwrap();
        }
        shop_mail(1).id("mail-1").queue(&MAILS).await.unwrap();
        for number in 2..=4 {
            shop_mail(number).id(format!("mail-{number}")).queue(&MAILS).start().await.unwrap();
        }
        durable::send("order-100", "paymnt", &2_500).await.unwrap();
    }))
    .await;
    has_status(&app, "delivery-7", Status::Parked).await;
    app
}

/// Waits until a workflow has this many records.
pub(super) async fn recorded(app: &Durable, id: &str, many: usize) {
    until("the records are durable", async || app.list_steps(id).await.unwrap().len() >= many).await;
}

pub(super) async fn has_status(app: &Durable, id: &str, status: Status) {
    let what = format!("{id} is {status}");
    until(&what, async || app.workflow(id).await.unwrap().is_some_and(|it| it.status == status)).await;
}

/// Orders that wait for a message.
pub(super) async fn waiting_orders(app: &Durable, ids: &[&str]) {
    app.scope(async {
        for (number, id) in (100..).zip(ids) {
            shop_checkout(number, "waits".into()).id(*id).start().await.unwrap();
        }
    })
    .await;
    for id in ids {
        recorded(app, id, 9).await;
    }
}

/// An order that takes its time, on a queue that keeps it waiting for a while.
pub(super) async fn slow_order(app: &Durable, id: &str) {
    app.scope(async {
        ORDERS.pause().await.unwrap();
        let call = shop_checkout(SLOW, "a gift".into()).id(id).queue(&ORDERS).label("tenant", "acme");
        call.start().await.unwrap();
        take_time(SLOW, 300).await;
        ORDERS.resume().await.unwrap();
    })
    .await;
    // One of them is of the deadline of the message for which it waits.
    recorded(app, id, 9).await;
    take_time(SLOW, 300).await;
}

/// An order whose texts would be programs, if a page took them for HTML.
pub(super) async fn order_with(app: &Durable, id: &str, note: &str) {
    let order =
        app.scope(async { shop_checkout(100, note.to_owned()).id(id).label("evil", note).start().await.unwrap() });
    order.await;
    recorded(app, id, 9).await;
    app.scope(async { durable::send(id, "text", note).await.unwrap() }).await;
}

/// Reports that wait on a queue.
pub(super) async fn queued_reports(app: &Durable, many: u32) {
    app.scope(async {
        REPORTS.pause().await.unwrap();
        for number in 1..=many {
            shop_report(number).id(format!("report-{number}")).queue(&REPORTS).start().await.unwrap();
        }
    })
    .await;
}
