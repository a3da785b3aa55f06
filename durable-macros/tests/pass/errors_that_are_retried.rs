//! `retry_if` takes a function of the error, by any path.

#![deny(warnings)]

use durable::prelude::*;

mod errors {
    pub fn is_transient(error: &durable::Error) -> bool {
        error.to_string().contains("busy")
    }
}

#[step(retries = 3, retry_if = errors::is_transient)]
async fn charge(card: &str) -> Result<String> {
    Ok(card.to_owned())
}

struct Gateway;

impl Gateway {
    fn is_busy(_: &Error) -> bool {
        true
    }

    #[step(retry_if = Self::is_busy, retries = 1)]
    async fn call(&self) -> Result<()> {
        Ok(())
    }
}

#[step(retries = 2, retry_if = Error::is_panic)]
fn digest<T: Clone + Send + 'static>(value: T) -> Result<usize> {
    drop(value);
    Ok(1)
}

#[tokio::test]
async fn retry_if_takes_any_function_of_the_error() -> Result<()> {
    assert_eq!(charge("c").retry_if(|_| false).await?, "c");
    assert_eq!(digest("x").await?, 1);
    Gateway.call().await
}
