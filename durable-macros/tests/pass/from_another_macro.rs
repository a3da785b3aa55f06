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

#[test]
fn another_macro_can_generate_workflows_and_steps() {
    let _ = (double(1, 2).id("x"), length("x".into()).id("y"));
}
