//! The picture in the README.

use std::path::Path;

use durable::axum::Access;

use super::browser_tests;
use super::driver::Browser;
use super::shop::slow_order;
use super::site::Site;
use crate::support::TestDatabase;

browser_tests! {
    the_picture_of_the_readme_shows_a_workflow,
}

/// With `BLESS=1` it makes the picture in `docs/images` anew.
async fn the_picture_of_the_readme_shows_a_workflow() {
    let database = TestDatabase::sqlite();
    let app = database.builder("shop").launch().await.unwrap();
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    browser.resize(1280, 1040).await;
    browser.prefer("light").await;
    slow_order(&app, "order-1001").await;
    site.open(&browser, "workflows/order-1001").await;
    browser.click("Child 7").await;
    browser.sees("pack_parcel").await;
    browser.run("document.activeElement.blur()", vec![]).await;
    if std::env::var_os("BLESS").is_some() {
        browser.screenshot_to(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images/dashboard.png")).await;
    } else {
        browser.screenshot("readme").await;
    }
    browser.close().await;
}
