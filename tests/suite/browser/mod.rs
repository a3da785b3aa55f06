//! The dashboard in a real browser: what a person sees and does there. Screenshots are in `target/screenshots`.

mod acting;
mod appearance;
mod driver;
mod finding_out;
mod readme;
mod shop;
mod site;
mod watching;

/// Tests that need a browser.
macro_rules! browser_tests {
    ($($case:ident),+ $(,)?) => {
        mod chromium {
            $(
                #[cfg_attr(not(has_chromium), ignore = "no Chromium: install the packages chromium and chromium-driver")]
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    Box::pin(super::$case()).await;
                }
            )+
        }
    };
}
use browser_tests;
