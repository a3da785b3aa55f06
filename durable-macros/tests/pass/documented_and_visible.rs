//! Docs, visibility and attributes stay on the function, and the expansion causes no lint.

#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, rust_2018_idioms, let_underscore_drop)]

/// A shop.
pub mod shop {
    use durable::prelude::*;

    /// Sells.
    #[workflow]
    pub async fn sell(order: String) -> Result<String> {
        super::charge(&order).await?;
        wrap(&order).await
    }

    /// Wraps.
    #[step(name = "wrap-it")]
    pub(super) async fn wrap(order: &str) -> Result<String> {
        Ok(format!("({order})"))
    }

    /// It can be deprecated.
    #[workflow]
    #[deprecated = "use `sell`"]
    pub async fn give(order: String) -> Result<String> {
        Ok(order)
    }

    /// It can be conditional.
    #[step]
    #[cfg(any())]
    pub async fn elsewhere(order: Unknown) -> Result<Unknown> {
        Ok(order)
    }

    // Only queues and recovery may start it, so it is not dead.
    #[workflow]
    async fn by_name_only(_order: String, _urgent: bool) -> Result<()> {
        Ok(())
    }

    /// What a user allows is allowed in the body, too.
    #[workflow]
    #[expect(unused_variables, reason = "for the test")]
    #[cfg_attr(all(), doc = "More docs.", allow(unused_mut))]
    #[must_use]
    #[inline]
    pub async fn careless(order: String) -> Result<()> {
        let mut unused = 1;
        Ok(())
    }
}

use durable::prelude::*;

#[step]
async fn charge(_order: &str) -> Result<()> {
    Ok(())
}

#[tokio::test]
async fn docs_visibility_and_attributes_stay_on_the_function() {
    assert_eq!(shop::wrap("tea").await.expect("it cannot fail"), "(tea)");
    let _call = shop::sell("tea".into());
    #[allow(deprecated)]
    let _call = shop::give("tea".into());
}
