use durable::prelude::*;

trait Connection {}

#[transaction]
async fn create_user<C: Connection>(tx: &mut C, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

#[transaction]
async fn rename_user(tx: &mut impl Connection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

#[transaction]
async fn remove_user(tx: &mut dyn Connection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

fn main() {}
