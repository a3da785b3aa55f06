//! Why a workflow waits or fails is said on its page, with what to do.

use durable::axum::Access;

use super::browser_tests;
use super::driver::Browser;
use super::shop::planted;
use super::site::Site;
use crate::support::TestDatabase;

browser_tests! {
    the_page_of_a_workflow_says_why_it_waits_or_fails_and_what_to_do,
}

/// A workflow, what its page says, and what it says to do.
const REASONS: &[(&str, &[&str])] = &[
    ("report-2", &["The queue shop-reports is paused", "resume the queue"]),
    ("mail-3", &["starts at most 1 in 1 h", "raise the rate"]),
    (
        "delivery-7",
        &[
            "at position 1 this workflow recorded the step `order_by_post`, and the code now calls the step `order_by_courier`",
            "Resume",
        ],
    ),
    ("order-100", &["It waits for a message at position", "1 message on other topics waits: paymnt", "misspelled"]),
    ("supply-8", &["call_supplier"]),
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
    // The calls that the present run has replayed are marked, and those of a child are below the call that started it.
    site.open(&browser, "workflows/order-100").await;
    browser.until("replayed calls are marked", "document.querySelectorAll('tr.replayed').length >= 5").await;
    browser.click("Child 7").await;
    browser.sees("pack_parcel").await;
    browser.screenshot("why-order-100-child").await;
    browser.close().await;
}
