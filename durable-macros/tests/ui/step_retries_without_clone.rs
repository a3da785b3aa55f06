use durable::prelude::*;

struct Card {
    number: String,
}

#[step(retries = 3)]
async fn charge(card: Card, cents: u32) -> Result<u32> {
    println!("{}", card.number);
    Ok(cents)
}

#[step(retries = 3)]
async fn fill(basket: &mut Vec<String>) -> Result<()> {
    basket.push("tea".into());
    Ok(())
}

struct Basket;

impl Basket {
    #[step(retries = 1)]
    async fn empty(&mut self) -> Result<()> {
        Ok(())
    }

    #[step(retries = 0)]
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
