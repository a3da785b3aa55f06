use durable::prelude::*;

struct Receipt;

#[workflow]
async fn checkout() -> Result<Receipt> {
    Ok(Receipt)
}

#[step]
async fn charge() -> durable::Result<Vec<Receipt>> {
    Ok(vec![Receipt])
}

#[step]
async fn print() -> Receipt {
    Receipt
}

fn main() {}
