//! What the pages look like: narrow and wide, dark and light, and to a screen reader.

use durable::axum::Access;
use serde_json::Value;

use super::browser_tests;
use super::driver::Browser;
use super::shop::planted;
use super::site::Site;
use crate::support::TestDatabase;

browser_tests! {
    every_page_fits_a_phone_and_a_wide_screen_and_is_accessible_in_dark_and_light,
    colors_follow_the_system_until_a_person_chooses_them,
}

/// Every page, with the name of its screenshot.
const PAGES: &[(&str, &str)] = &[
    ("overview", "overview"),
    ("workflows?columns=id,status,name,queue,created,duration,reason,executor,labels", "workflows"),
    ("workflows/order-100", "workflow"),
    ("workflows/order-13?step=3", "failed-workflow"),
    ("workflows/delivery-7", "parked-workflow"),
    ("queues", "queues"),
    ("schedules", "schedules"),
    ("executors", "executors"),
    ("versions", "versions"),
    ("settings", "settings"),
];

async fn every_page_fits_a_phone_and_a_wide_screen_and_is_accessible_in_dark_and_light() {
    let database = TestDatabase::sqlite();
    let app = planted(&database).await;
    let site = Site::serve(&app, Access::full()).await;
    let browser = Browser::open().await;
    for (width, scheme) in [(320, "light"), (1920, "dark")] {
        browser.resize(width, 1000).await;
        browser.prefer(scheme).await;
        for (page, name) in PAGES {
            site.open(&browser, page).await;
            let size = browser.run("return [document.documentElement.scrollWidth, innerWidth]", vec![]).await;
            browser.screenshot(&format!("{name}-{width}-{scheme}")).await;
            let (content, window) = (size[0].as_u64().unwrap(), size[1].as_u64().unwrap());
            assert!(content <= window, "{page} is {content} pixels wide in a window of {window}");
            let barriers = browser.barriers().await;
            assert!(barriers.is_empty(), "{page} at {width} pixels, {scheme}:\n{barriers}");
        }
    }
    browser.close().await;
}

async fn colors_follow_the_system_until_a_person_chooses_them() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    let site = Site::serve(&app, Access::read_only()).await;
    let browser = Browser::open().await;
    let back =
        async || -> Value { browser.run("return getComputedStyle(document.body).backgroundColor", vec![]).await };
    browser.prefer("light").await;
    site.open(&browser, "overview").await;
    let light = back().await;
    browser.prefer("dark").await;
    let dark = back().await;
    assert_ne!(light, dark);
    browser.press("d").await;
    assert_eq!(back().await, light, "chosen with a key");
    site.open(&browser, "queues").await;
    assert_eq!(back().await, light, "and kept");
    browser.close().await;
}
