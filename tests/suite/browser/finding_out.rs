//! The page of a workflow shows why it waits or fails, and what to do.

use durable::axum::Access;

use super::browser_tests;
use super::driver::Browser;
use super::shop::planted;
use super::site::Site;
use crate::support::TestDatabase;

browser_tests! {
    the_page_of_a_workflow_says_why_it_waits_or_fails_and_what_to_do,
}

/// A workflow, and what its page shows: the cause, and the remedy.
const REASONS: &[(&str, &[&str])] = &[
    ("report-2", &["The queue shop-reports is paused", "resume the queue"]),
    ("mail-3", &["starts at most 1 in 1 h", "raise the rate"]),
    (
        "delivery-7",
        &[
            "at position 1 this workflow recorded the step `order_by_post`, and the code now calls the step `order_by_courier`",
            "then press Resume",
        ],
    ),
    ("order-100", &["It waits for a message at position", "Unreceived: 1 message on paymnt.", "misspelled"]),
    ("supply-8", &["Now: ", "call_supplier", "the next begins", "the supplier refuses order 8"]),
    ("order-13", &["no such street", "check_address at 3", "Resume runs the failed call again"]),
];

async fn the_page_of_a_workflow_says_why_it_waits_or_fails_and_what_to_do() {
    let database = TestDatabase::sqlite();
    let app = planted(&database).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    site.open(&browser, "overview").await;
    browser.sees("1 workflow is parked").await;
    browser.sees("The queue shop-reports is paused, and 3 workflows wait on it.").await;
    for (id, words) in REASONS {
        site.open(&browser, &format!("workflows/{id}")).await;
        for text in *words {
            browser.sees(text).await;
        }
        browser.screenshot(&format!("why-{id}")).await;
    }
    // What succeeded does not run again in a fork, unless it is asked for.
    site.open(&browser, "workflows/order-13").await;
    browser.click("Fork …").await;
    let from = "document.querySelector('dialog[open] input[name=from]')?.value === '3'";
    browser.until("the fork begins at the call that failed", from).await;
    browser.click("Back").await;
    // One that is parked stands still, so its timeline has no line for the present.
    for (id, is_drawn) in [("delivery-7", false), ("order-100", true)] {
        site.open(&browser, &format!("workflows/{id}")).await;
        let line = browser.run("return Boolean(document.querySelector('.timeline line.now'))", vec![]).await;
        assert_eq!(line, is_drawn, "{id}");
    }
    // The calls that the present run has replayed are marked, and those of a child are below the call that started it.
    site.open(&browser, "workflows/order-100").await;
    browser.until("replayed calls are marked", "document.querySelectorAll('tr.replayed').length >= 5").await;
    browser.click("Child 7").await;
    browser.sees("pack_parcel").await;
    browser.screenshot("why-order-100-child").await;
    browser.close().await;
}
