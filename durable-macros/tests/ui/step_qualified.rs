use durable::prelude::*;

#[step]
const fn one() -> u32 {
    1
}

#[step]
async unsafe fn two() -> u32 {
    2
}

#[step]
extern "C" fn three() -> u32 {
    3
}

fn main() {}
