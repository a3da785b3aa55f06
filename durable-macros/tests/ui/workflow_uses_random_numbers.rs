use durable::prelude::*;

mod rand {
    pub fn random() -> u32 {
        4
    }
}

mod uuid {
    pub struct Uuid;

    impl Uuid {
        pub fn new_v4() -> u32 {
            4
        }
    }
}

#[workflow]
async fn checkout() -> Result<u32> {
    if rand::random() > 3 {
        return Ok(uuid::Uuid::new_v4());
    }
    Ok(0)
}

fn main() {}
