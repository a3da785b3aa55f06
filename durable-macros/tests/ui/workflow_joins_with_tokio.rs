use durable::prelude::*;

mod futures {
    pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) {
        for future in futures {
            future.await;
        }
    }

    pub trait Stream: Sized {
        fn buffer_unordered(self, _: usize) -> Self {
            self
        }
    }

    impl Stream for Vec<u32> {}
}

use futures::Stream;

#[workflow]
async fn greet_all(users: Vec<String>) -> Result<()> {
    let (_, _) = tokio::join!(
        async {
            greet("left").await;
            greet("left again").await
        },
        greet("right"),
    );
    let _ = tokio::try_join!(async { Ok::<_, Error>(greet("left").await) }, async { Ok(greet("right").await) })?;
    futures::join_all(users.iter().map(|user| async move {
        greet(user).await;
        greet(user).await
    }))
    .await;
    futures::join_all(users.iter().map(|user| greet(user))).await;
    vec![1, 2].buffer_unordered(2);
    Ok(())
}

#[step]
async fn greet(user: &str) -> String {
    format!("Hello, {user}")
}

fn main() {}
