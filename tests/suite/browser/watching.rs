//! What happens meanwhile, and what may not happen.

use durable::axum::Access;
use durable::prelude::*;

use super::browser_tests;
use super::driver::Browser;
use super::shop::{has_status, order_with, waiting_orders};
use super::site::Site;
use crate::support::TestDatabase;

browser_tests! {
    changes_are_shown_as_they_happen,
    changes_while_a_page_loads_are_shown,
    the_page_of_a_workflow_reads_nothing_when_others_change,
    messages_of_one_commit_are_all_shown,
    the_focus_stays_when_a_row_before_it_goes,
    what_a_person_has_unfolded_stays_unfolded,
    live_updates_are_closed_while_the_tab_is_hidden,
    stored_texts_are_shown_and_never_run,
}

const LIVE: &str = "document.querySelector('.side .live').textContent.includes('Live')";
const PAUSED: &str = "document.querySelector('.side .live').textContent.includes('Paused')";

/// Collects the ids of workflows that live updates name.
const NEWS: &str = "window.news = []; \
    const source = new EventSource('api/v1/live'); \
    source.addEventListener('hello', () => window.isConnected = true); \
    source.addEventListener('changes', event => news.push(...JSON.parse(event.data).workflows.map(it => it.id)));";

async fn changes_are_shown_as_they_happen() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100"]).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows").await;
    browser.until("updates are live", LIVE).await;
    // What is selected stays selected, and the focus stays where it is.
    browser.click("Select order-100").await;
    browser.run("document.querySelector('[data-id=\"order-100\"] th a').focus()", vec![]).await;
    waiting_orders(&app, &["order-new"]).await;
    browser.sees("order-new").await;
    browser.until("the focus stays", "document.activeElement.textContent === 'order-100'").await;
    browser.sees("1 selected").await;

    site.open(&browser, "workflows/order-100").await;
    browser.until("updates are live", LIVE).await;
    browser.sees("It waits for a message").await;
    browser.sees("waits: charged").await; // the item of a stream
    app.scope(async { durable::send("order-100", "payment", &1).await.unwrap() }).await;
    browser.sees("parcel of 100, label of 100").await;
    browser.until("the status is shown", "document.querySelector('.head .status').textContent === 'SUCCESS'").await;

    browser.press("l").await;
    browser.until("updates are paused", PAUSED).await;
    browser.close().await;
}

async fn changes_while_a_page_loads_are_shown() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100"]).await;
    let site = Site::serve(&app, Access::read_only()).await;
    let browser = Browser::open().await;
    site.open(&browser, "overview").await;
    browser.until("updates are live", LIVE).await;
    // The answer for the table is from before the change, and comes after it.
    let hold = "const { fetch } = window; const released = new Promise(wake => window.release = wake); \
        window.fetch = async (...call) => { \
            const answer = await fetch(...call); \
            if (String(call[0]).includes('/workflows?') && !window.isReleased) { window.holds = true; await released; } \
            return answer; \
        };";
    browser.run(hold, vec![]).await;
    browser.run(NEWS, vec![]).await;
    browser.until("the test is sent changes, too", "window.isConnected").await;
    browser.press("gw").await;
    browser.until("the table is read", "window.holds").await;
    waiting_orders(&app, &["order-new"]).await;
    browser.until("the page is sent the change", "news.includes('order-new')").await;
    tokio::time::sleep(Duration::from_secs(1)).await; // changes are gathered for a moment
    browser.run("window.isReleased = true; release()", vec![]).await;
    browser.sees("order-new").await;
    browser.close().await;
}

async fn the_page_of_a_workflow_reads_nothing_when_others_change() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100"]).await;
    app.scope(async { durable::send("order-100", "payment", &1).await.unwrap() }).await;
    has_status(&app, "order-100", Status::Success).await;
    let site = Site::serve(&app, Access::read_only()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows/order-100").await;
    let reads = "performance.getEntriesByType('resource').filter(it => it.name.includes('/v1/workflow?')).length";
    browser.until("it is read again once updates are live", &format!("{reads} > 1")).await;
    browser.run(NEWS, vec![]).await;
    browser.until("the test is sent changes, too", "window.isConnected").await;
    let count = async || browser.run(&format!("return {reads}"), vec![]).await;
    let before = count().await;
    waiting_orders(&app, &["order-new"]).await;
    browser.until("the page is sent the change", "news.includes('order-new')").await;
    tokio::time::sleep(Duration::from_secs(1)).await; // changes are gathered for a moment
    assert_eq!(count().await, before);
    browser.close().await;
}

/// They have the same time.
async fn messages_of_one_commit_are_all_shown() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100"]).await;
    let send = async |topic: &str, content: &str| {
        app.scope(async { durable::send("order-100", topic, content).await.unwrap() }).await;
    };
    send("gift", "a ring").await;
    send("gift", "a book").await;
    let mut connection = database.direct_connection().await;
    connection.execute("update durable_messages set sent_at = (select min(sent_at) from durable_messages)").await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows/order-100").await;
    browser.sees("a book").await;
    send("other", "a letter").await;
    browser.sees("a letter").await;
    browser.redrawn().await;
    let text = browser.text().await;
    assert!(text.contains("a ring") && text.contains("a book"), "{text}");
    browser.close().await;
}

async fn the_focus_stays_when_a_row_before_it_goes() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100", "order-101"]).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows?status=PENDING").await;
    let rows = "[...document.querySelectorAll('#workflows tbody tr')].map(it => it.dataset.id).join()";
    browser.until("the newest is first", &format!("{rows} === 'order-101,order-100'")).await;
    browser.run("document.querySelector('[data-id=\"order-100\"] th a').focus()", vec![]).await;
    app.scope(async { durable::send("order-101", "payment", &1).await.unwrap() }).await;
    browser.until("the row before it has gone", &format!("{rows} === 'order-100'")).await;
    assert_eq!(browser.run("return document.activeElement.textContent", vec![]).await, "order-100");
    browser.close().await;
}

async fn what_a_person_has_unfolded_stays_unfolded() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100"]).await;
    let send = async |topic: &str, content: serde_json::Value| {
        app.scope(async { durable::send("order-100", topic, &content).await.unwrap() }).await;
    };
    let bag = |from: u32, until: u32| (from..=until).map(|it| format!("thing {it}")).collect::<Vec<_>>();
    send("gift", serde_json::json!({ "box": { "bag": { "paper": { "content": "a ring" } } } })).await;
    send("bag", bag(1, 201).into()).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows/order-100").await;
    browser.click("\"paper\": { 1 }").await;
    browser.sees("a ring").await;
    browser.click("[ 201 ]").await;
    browser.click("1 more").await;
    browser.sees("thing 201").await;
    browser.redrawn().await;
    // So it is when there is something new.
    send("other", "a letter".into()).await;
    browser.sees("a letter").await;
    browser.redrawn().await;
    let text = browser.text().await;
    assert!(text.contains("a ring") && text.contains("thing 201"), "{text}");
    browser.close().await;
}

async fn live_updates_are_closed_while_the_tab_is_hidden() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    let site = Site::serve(&app, Access::read_only()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows").await;
    browser.until("updates are live", LIVE).await;
    let hide = "Object.defineProperty(document, 'hidden', { configurable: true, value: arguments[0] }); \
        document.dispatchEvent(new Event('visibilitychange'))";
    browser.run(hide, vec![true.into()]).await;
    browser.until("updates are paused", PAUSED).await;
    waiting_orders(&app, &["order-100"]).await;
    browser.run(hide, vec![false.into()]).await;
    browser.until("updates are live", LIVE).await;
    browser.sees("order-100").await;
    browser.close().await;
}

async fn stored_texts_are_shown_and_never_run() {
    const EVIL: &str = "<img src=x onerror=\"window.hacked = 1\">";
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    let id = format!("evil {EVIL}");
    order_with(&app, &id, EVIL).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    let nothing_ran = async || {
        let found = "return [window.hacked ?? null, document.querySelectorAll('img, iframe, object').length]";
        assert_eq!(browser.run(found, vec![]).await, serde_json::json!([null, 0]));
    };
    for page in ["overview", "workflows?columns=id,status,labels,reason", "queues"] {
        site.open(&browser, page).await;
        browser.run("for (const it of document.querySelectorAll('details')) it.open = true", vec![]).await;
        nothing_ran().await;
    }
    site.open(&browser, "workflows").await;
    browser.sees(&id).await;
    // A link leads to it, whatever is in its id.
    browser.click(&id).await;
    browser.until("the workflow is shown", "document.querySelector('h1')?.textContent.includes('<img src=x')").await;
    browser.sees("It waits for a message").await;
    let message = "[...document.querySelectorAll('tr')].some(it => it.firstChild.textContent === 'text' && it.querySelector('.json .text'))";
    browser.until("its message is shown", message).await;
    browser.click("step reserve_stock").await;
    browser.sees("Fork from here").await;
    browser.click("Cancel …").await;
    browser.sees("1 workflow would be cancelled").await;
    nothing_ran().await;
    assert_eq!(app.workflow(&id).await.unwrap().unwrap().status, Status::Pending);
    browser.close().await;
}
