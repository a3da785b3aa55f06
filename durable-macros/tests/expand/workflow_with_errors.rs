#[workflow(retries = 3)]
#[step]
pub fn checkout<T>(order: T, id: &str) -> Result<Receipt> {
    charge(order, id)
}
