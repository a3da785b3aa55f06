//! Steps take `self` in every form, and use `Self`.

#![deny(warnings)]

use std::pin::Pin;
use std::sync::Arc;

use durable::prelude::*;

#[derive(Clone)]
struct Shop<'a, T> {
    name: &'a str,
    stock: Vec<T>,
}

impl<'a, T: Clone + Send + Sync> Shop<'a, T> {
    const OPEN: u32 = 8;

    /// By reference.
    #[step(retries = 2)]
    pub async fn find(&self, item: &str) -> Result<String> {
        Ok(format!("{item} at {}", self.name))
    }

    #[step]
    async fn restock(&self, item: T, Pair(r#type, _): Pair) -> usize {
        let mut stock = self.stock.clone();
        stock.resize(r#type, item);
        stock.len()
    }

    #[step]
    async fn close(mut self) -> usize {
        self.stock.pop();
        self.stock.len()
    }

    #[step]
    async fn shared(self: Arc<Self>, extra: usize) -> usize {
        self.stock.len() + extra
    }

    #[step]
    async fn boxed(mut self: Box<Self>) -> usize {
        self.stock.clear();
        self.stock.len()
    }

    #[step]
    async fn pinned(self: Pin<&Self>) -> usize {
        self.stock.len()
    }

    #[step]
    async fn opens(day: u32) -> u32 {
        Self::OPEN + day
    }

    #[step]
    async fn compare<U: Sync>(&self, other: &Shop<'_, U>) -> bool {
        self.name == other.name
    }

    async fn by_hand(&self) -> Result<String> {
        self.find("milk").retries(1).await
    }
}

struct Pair(usize, ());

struct Press;

impl Press {
    #[step]
    fn squeeze(self, grams: u32) -> u32 {
        grams / 2
    }

    #[step]
    fn press(self: Arc<Self>, grams: u32) -> u32 {
        grams / 3
    }

    // A workflow in an `impl` block is a function in a namespace.
    #[workflow]
    async fn run(grams: u32) -> Result<u32> {
        Ok(Press.squeeze(grams).await)
    }
}

#[tokio::test]
async fn a_step_takes_self_in_every_form() -> Result<()> {
    let name = String::from("corner");
    let shop = Shop { name: &name, stock: vec![1] };
    assert_eq!(shop.find("tea").await?, "tea at corner");
    assert_eq!(shop.by_hand().await?, "milk at corner");
    assert_eq!(shop.restock(2, Pair(3, ())).await, 3);
    assert!(shop.compare(&Shop::<u8> { name: "corner", stock: vec![] }).await);
    assert_eq!(Pin::new(&shop).pinned().await, 1);
    assert_eq!(Arc::new(shop.clone()).shared(1).await, 2);
    assert_eq!(Box::new(shop.clone()).boxed().await, 0);
    assert_eq!(shop.close().await, 0);
    assert_eq!(Shop::<u8>::opens(1).await, 9);
    assert_eq!(Press.squeeze(4).await, 2);
    assert_eq!(Arc::new(Press).press(9).await, 3);
    let _ = Press::run(4).id("x");
    Ok(())
}
