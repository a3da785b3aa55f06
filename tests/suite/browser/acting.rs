//! What a person changes in the pages.

use std::collections::BTreeMap;

use durable::axum::Access;
use durable::prelude::*;
use durable::{GroupBy, QueueInfo};

use super::browser_tests;
use super::driver::Browser;
use super::shop::{has_status, planted, queued_reports, waiting_orders};
use super::site::Site;
use crate::support::{TestDatabase, until};

browser_tests! {
    all_that_match_a_filter_are_cancelled_with_a_preview_and_progress,
    a_workflow_is_forked_from_a_step_with_an_edited_argument,
    a_browser_that_rounds_large_integers_sends_none_back,
    a_queue_is_paused_resumed_and_limited,
    a_workflow_is_found_and_cancelled_with_the_keyboard_alone,
    a_viewer_who_may_only_read_sees_no_action,
}

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

async fn all_that_match_a_filter_are_cancelled_with_a_preview_and_progress() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    queued_reports(&app, 60).await;
    waiting_orders(&app, &["order-100"]).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows").await;
    browser.sees("order-100").await;

    // A filter is in the address, and in the history of the browser.
    browser.run("document.getElementById('filter-value').value = 'report-'", vec![]).await;
    browser.click("Add filter").await;
    browser.until("the order is filtered out", "!document.body.innerText.includes('order-100')").await;
    assert!(browser.url().await.ends_with("/ops/durable/ui#/workflows?prefix=report-"), "{}", browser.url().await);
    browser.sees("60 workflows").await;
    browser.back().await;
    browser.sees("order-100").await;
    site.open(&browser, "workflows?prefix=report-&status=ENQUEUED").await;
    browser.until("a page is full", "document.querySelectorAll('#workflows tbody tr').length === 50").await;

    browser.click("Select this page").await;
    browser.sees("50 selected").await;
    browser.click("Select all that match").await;
    browser.sees("All that match").await;
    browser.click("Cancel …").await;
    browser.sees("60 workflows would be cancelled").await;
    browser.screenshot("bulk-preview").await;
    browser.click("Cancel").await;
    browser.sees("Done: 60 workflows cancelled, 0 unchanged, 0 refused.").await;
    browser.until("the progress is full", "(it => it.value === it.max)(document.querySelector('progress'))").await;
    browser.screenshot("bulk-progress").await;
    browser.click("Close").await;
    browser.sees("No workflow matches.").await;
    let cancelled = app.count_workflows(Filter::new().status(Status::Cancelled), GroupBy::Name).await.unwrap();
    assert_eq!(cancelled.total, 60);
    assert_eq!(app.workflow("order-100").await.unwrap().unwrap().status, Status::Pending, "it did not match");
    browser.close().await;
}

async fn a_workflow_is_forked_from_a_step_with_an_edited_argument() {
    let database = TestDatabase::sqlite();
    let app = planted(&database).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows/order-13?step=3").await;
    browser.sees("no such street").await;
    browser.click("Fork from here …").await;
    browser.fill("argument order", "14").await;
    browser.run("document.querySelector('dialog details').open = true", vec![]).await;
    browser.fill("id", "order-14").await;
    browser.screenshot("fork").await;
    browser.click("Fork").await;
    browser.until("the fork is shown", "document.querySelector('h1')?.textContent.includes('order-14')").await;
    has_status(&app, "order-14", Status::Success).await;
    browser.sees("SUCCESS").await;
    let fork = app.workflow("order-14").await.unwrap().unwrap();
    assert_eq!(fork.forked_from.as_deref(), Some("order-13"));
    assert_eq!(fork.output.as_deref(), Some("\"parcel of 14, label of 14\""));
    let steps = app.list_steps("order-14").await.unwrap();
    assert_eq!(steps[0].output.as_deref(), Some("113"), "what was recorded before the position is kept");
    browser.close().await;
}

/// Such a browser lacks `JSON.rawJSON`.
async fn a_browser_that_rounds_large_integers_sends_none_back() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100"]).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "workflows/order-100").await;
    browser.click("Fork …").await;
    browser.until("arguments can be edited", "document.querySelector('dialog[open] textarea')").await;
    browser.click("Back").await;
    browser.run("delete JSON.rawJSON", vec![]).await;
    app.scope(async { durable::send("order-100", "large", &9_007_199_254_740_993_u64).await.unwrap() }).await;
    browser.sees("9007199254740992").await;
    browser.click("Fork …").await;
    browser.sees("This browser rounds integers").await;
    browser.until("no argument can be edited", "!document.querySelector('dialog[open] textarea')").await;
    browser.close().await;
}

async fn a_queue_is_paused_resumed_and_limited() {
    let database = TestDatabase::sqlite();
    let app = planted(&database).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    let queue = async |name: &str| -> QueueInfo {
        app.list_queues().await.unwrap().into_iter().find(|it| it.name == name).expect("it is declared")
    };
    site.open(&browser, "queues").await;
    browser.click("Pause shop-orders").await;
    browser.click("Pause").await;
    until("the queue is paused", async || queue("shop-orders").await.paused).await;
    browser.click("Resume shop-orders").await;
    browser.click("Resume").await;
    until("the queue is resumed", async || !queue("shop-orders").await.paused).await;

    browser.click("Change the limits of shop-mails").await;
    browser.fill("rate_limit.starts", "500").await;
    browser.fill("concurrency", "7").await;
    browser.screenshot("limits").await;
    // Another person changes a limit meanwhile.
    let others = queue("shop-mails").await.limits.with_worker_concurrency(Some(9));
    app.set_queue_limits("shop-mails", others).await.unwrap();
    browser.click("Change the limits").await;
    let limited = async || queue("shop-mails").await.limits.concurrency() == Some(7);
    until("the limits are changed", limited).await;
    let limits = queue("shop-mails").await.limits;
    assert_eq!(limits.rate_limit(), Some((500, Duration::from_hours(1))));
    assert_eq!(limits.worker_concurrency(), Some(9), "a limit that the dialog does not change is kept");
    browser.sees("7 at once, 9 at once in a process, 500 starts per 1 h").await;
    has_status(&app, "mail-4", Status::Success).await;
    browser.close().await;
}

/// From the start page: no mouse, and no link that is typed.
async fn a_workflow_is_found_and_cancelled_with_the_keyboard_alone() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    waiting_orders(&app, &["order-100", "order-101"]).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "overview").await;
    let focused = async |expression: &str| {
        let what = format!("the focus is at {expression}");
        browser.until(&what, &format!("(it => {expression})(document.activeElement)")).await;
    };
    // The first stop of the keyboard leads past the links of the frame.
    browser.press(TAB).await;
    focused("it.textContent === 'Skip to the page'").await;
    browser.press(ENTER).await;
    focused("it.tagName === 'MAIN'").await;

    browser.press("gw").await;
    browser.until("the table is shown", "document.querySelectorAll('#workflows tbody tr').length > 1").await;
    focused("it.tagName === 'H1'").await;
    browser.press("/").await;
    focused("it.id === 'filter-value'").await;
    browser.press("order-101").await;
    browser.press(ENTER).await;
    browser.until("it and its child are left", "document.querySelectorAll('#workflows tbody tr').length === 2").await;
    // The focus is in a field, where letters are letters.
    browser.press(TAB).await;
    browser.press("j").await;
    focused("it.textContent === 'order-101-7'").await;
    browser.press("j").await;
    focused("it.textContent === 'order-101'").await;
    let outline = "getComputedStyle(it).outlineStyle !== 'none'";
    focused(outline).await;
    browser.press(ENTER).await;
    browser.until("the workflow is shown", "document.querySelector('h1')?.textContent.includes('order-101')").await;
    browser.press("c").await;
    browser.sees("1 workflow would be cancelled").await;
    let mut tabs = 0;
    while browser.run("return document.activeElement.textContent !== 'Cancel'", vec![]).await == true {
        browser.press(TAB).await;
        tabs += 1;
        assert!(tabs < 20, "the button is reached");
    }
    browser.press(ENTER).await;
    has_status(&app, "order-101", Status::Cancelled).await;
    browser.sees("It was cancelled").await;
    assert_eq!(app.workflow("order-100").await.unwrap().unwrap().status, Status::Pending);
    browser.press("?").await;
    browser.sees("Keyboard shortcuts").await;
    // A dialog is open, wherever the focus is.
    browser.run("document.activeElement.blur()", vec![]).await;
    browser.press("?").await;
    assert_eq!(browser.run("return document.querySelectorAll('dialog').length", vec![]).await, 1);
    browser.close().await;
}

async fn a_viewer_who_may_only_read_sees_no_action() {
    let database = TestDatabase::sqlite();
    let app = planted(&database).await;
    let browser = Browser::open().await;
    let (mut buttons, mut shortcuts) = (BTreeMap::new(), BTreeMap::new());
    let path = "/a/deep/path";
    let (full, read_only) =
        (Site::serve_at(&app, Access::full(), path).await, Site::serve_at(&app, Access::read_only(), path).await);
    for (name, site) in [("full", &full), ("read only", &read_only)] {
        for page in ["workflows", "workflows/order-100", "queues", "schedules"] {
            site.open(&browser, page).await;
            let script = "return [...document.querySelectorAll('main button, main input[type=checkbox]')] \
                .map(it => it.getAttribute('aria-label') ?? it.textContent) \
                .filter(it => /^(Select |Cancel |Restart|Fork|Label|Pause|Resume|Change|Trigger|Backfill)/.test(it)).length";
            buttons.insert((name, page), browser.run(script, vec![]).await.as_u64().unwrap());
            browser.press("?").await;
            browser.sees("Keyboard shortcuts").await;
            let script = "return [...document.querySelectorAll('dialog[open] td')] \
                .filter(it => /^(Select|Cancel|Resume|Fork) /.test(it.textContent)).length";
            shortcuts.insert((name, page), browser.run(script, vec![]).await.as_u64().unwrap());
        }
    }
    for ((access, page), many) in buttons {
        assert_eq!(many > 0, access == "full", "{page} has {many} actions with {access} access");
    }
    for ((access, page), many) in shortcuts.into_iter().filter(|((_, page), _)| page.starts_with("workflows")) {
        assert_eq!(many > 0, access == "full", "{page} has shortcuts of {many} actions with {access} access");
    }
    browser.sees("read only").await;
    browser.close().await;
}
