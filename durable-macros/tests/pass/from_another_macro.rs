//! Another macro generates the function, with names of its own and names from its caller.

#![deny(warnings)]

use durable::prelude::*;

macro_rules! twice {
    ($name:ident, $step:ident, $argument:ident: $ty:ty) => {
        #[workflow]
        async fn $name($argument: $ty, mut again: $ty) -> Result<$ty> {
            again += $step($argument).await;
            Ok(again)
        }

        #[step(retries = 1)]
        async fn $step(value: $ty) -> $ty {
            value * 2
        }
    };
}

twice!(double, double_once, number: u64);

macro_rules! whole {
    ($(#[$attribute:meta])* $visibility:vis $name:ident($argument:ident: $ty:ty) -> $returned:ty $body:block) => {
        $(#[$attribute])*
        $visibility async fn $name($argument: $ty) -> $returned $body
    };
}

whole! { #[workflow] pub(crate) length(text: String) -> Result<usize> { Ok(length_of(&text).await) } }
whole! { #[step] length_of(text: &str) -> usize { text.len() } }

/// Options that are fragments, in which the compiler puts the values into invisible groups.
macro_rules! named {
    ($step:ident, $workflow:ident, $name:literal, $retries:expr, $timeout:expr, $cron:literal) => {
        #[step(name = $name, retries = $retries, timeout = $timeout)]
        async fn $step(value: u64) -> Result<u64> {
            Ok(value)
        }

        #[scheduled($cron)]
        #[workflow(name = $name, timeout = $timeout)]
        async fn $workflow(_scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<u64> {
            $step(1).await
        }
    };
}

named!(charge, bill, "charge-card", 3, "30s", "0 2 * * *");

#[tokio::test]
async fn options_from_another_macro_are_those_that_it_was_given() {
    assert_eq!(format!("{:?}", charge(1)), "StepCall(charge-card, Outside)");
    assert!(format!("{:?}", bill(Utc::now(), Utc::now())).contains("charge-card"));
    assert_eq!(charge(7).await.expect("a step outside a workflow is a plain call"), 7);
}

#[test]
fn another_macro_can_generate_workflows_and_steps() {
    let _ = (double(1, 2).id("x"), length("x".into()).id("y"));
}
