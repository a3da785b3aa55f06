//! What happens meanwhile, and what may not happen.

use durable::axum::Access;
use durable::prelude::*;

use super::browser_tests;
use super::driver::Browser;
use super::shop::{order_with, waiting_orders};
use super::site::Site;
use crate::support::TestDatabase;

browser_tests! {
    changes_are_shown_as_they_happen,
    stored_texts_are_shown_and_never_run,
}

async fn changes_are_shown_as_they_happen() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100"]).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    let live = "document.querySelector('.side .live').textContent.includes('Live')";
    site.open(&browser, "workflows").await;
    browser.until("updates are live", live).await;
    // What is selected stays selected, and the focus stays where it is.
    browser.click("Select order-100").await;
    browser.run("document.querySelector('[data-id=\"order-100\"] th a').focus()", vec![]).await;
    waiting_orders(&app, &["order-new"]).await;
    browser.sees("order-new").await;
    browser.until("the focus stays", "document.activeElement.textContent === 'order-100'").await;
    browser.sees("1 selected").await;

    site.open(&browser, "workflows/order-100").await;
    browser.until("updates are live", live).await;
    browser.sees("It waits for a message").await;
    browser.sees("waits: charged").await; // the item of a stream
    app.scope(async { durable::send("order-100", "payment", &1).await.unwrap() }).await;
    browser.sees("parcel of 100, label of 100").await;
    browser.until("the status is shown", "document.querySelector('.head .status').textContent === 'SUCCESS'").await;

    browser.press("l").await;
    browser.until("updates are paused", "document.querySelector('.side .live').textContent.includes('Paused')").await;
    assert_eq!(browser.errors().await, [""; 0]);
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
    for page in ["overview", "workflows?columns=id,status,labels,reason", "queues"] {
        site.open(&browser, page).await;
        browser.run("for (const it of document.querySelectorAll('details')) it.open = true", vec![]).await;
    }
    site.open(&browser, "workflows").await;
    browser.sees(&id).await;
    // A link leads to it, whatever is in its id.
    browser.click(&id).await;
    browser.until("the workflow is shown", "document.querySelector('h1')?.textContent.includes('<img src=x')").await;
    browser.sees("It waits for a message").await;
    browser.until("its message is shown", "document.querySelector('.json .text')").await;
    browser.click("step reserve_stock").await;
    browser.sees("Fork from here").await;
    browser.click("Cancel …").await;
    browser.sees("1 workflow would be cancelled").await;
    let found = "return [window.hacked ?? null, document.querySelectorAll('img, iframe, object').length]";
    assert_eq!(browser.run(found, vec![]).await, serde_json::json!([null, 0]));
    // The security policy has refused nothing, because nothing was tried.
    assert_eq!(browser.errors().await, [""; 0]);
    assert_eq!(app.workflow(&id).await.unwrap().unwrap().status, Status::Pending);
    browser.close().await;
}
