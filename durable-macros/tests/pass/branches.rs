//! What branches borrow, and the patterns and handlers of `select!`.

#![deny(warnings, clippy::all, clippy::pedantic)]
#![allow(clippy::let_underscore_future, clippy::many_single_char_names, clippy::ignored_unit_patterns)]

use durable::prelude::*;

#[step]
async fn sum(left: u32, right: u32) -> Result<u32> {
    Ok(left + right)
}

// A part of a body may change what it borrows: it runs again on replay.
async fn add(total: &mut u32, number: u32) -> Result<u32> {
    *total = sum(*total, number).await?;
    Ok(*total)
}

#[step]
async fn text(text: &str) -> String {
    text.to_owned()
}

struct Shop {
    name: String,
    sold: u32,
}

#[workflow]
async fn borrows(mut left: u32, mut right: u32) -> Result<u32> {
    let mut shop = Shop { name: "corner".to_owned(), sold: 0 };
    let owned = shop.name.clone();
    // Borrowed mutably, borrowed, moved, temporary, and copied.
    let (a, b, c, d) = durable::join!(
        async {
            add(&mut left, 1).await?;
            add(&mut left, right_number()).await
        },
        add(&mut right, 2),
        text(&format!("{} {}", shop.name, 1)),
        async move { text(&owned).await },
    );
    let (e,) = durable::join!(add(&mut shop.sold, 1),);
    Ok(a? + b? + e? + left + right + u32::try_from(c.len() + d.len())?)
}

fn right_number() -> u32 {
    2
}

#[workflow]
async fn chooses(numbers: Vec<u32>) -> Result<String> {
    let mut total = 0;
    let mut background = durable::spawn(async move { text("background").await });
    let chosen = loop {
        let name = durable::select! {
            // Arms borrow mutably, and handlers again.
            added = add(&mut total, 1) => {
                total += added?;
                if total > 10 {
                    break total.to_string();
                }
                continue;
            }
            Shop { name, .. } = async { Shop { name: text("shop").await, sold: 1 } } => name,
            Ok(same) | Err(same) = async { Ok::<_, u32>(1).map(|it| it + 1) } => match same {
                0 => return Ok("none".to_owned()),
                _ => text("handled").await,
            }
            ref late = &mut background => late.clone(),
            mut found = text("found") => { found.push('!'); found }
            _ = async {} => if numbers.is_empty() { String::new() } else { "some".to_owned() }
        };
        if name.is_empty() {
            break name;
        }
    };
    Ok(chosen)
}

#[workflow]
async fn maps(names: Vec<String>, factor: u32) -> Result<Vec<u32>> {
    let lengths = durable::map(&names, 8, |name| async move { text(name).await.len() * factor as usize }).await;
    let called = durable::map(&names, 2, |name| text(name)).await;
    let sums = durable::map(0..names.len(), 2, |index| {
        let name = &names[index];
        async move { Ok::<_, Error>(u32::try_from(text(name).await.len())?) }
    })
    .stop_on_error()
    .await?;
    let closures = durable::map(names.clone(), 1, async |name: String| text(&name).await).await;
    assert_eq!(lengths.len() + called.len(), closures.len() * 2);
    Ok(sums)
}

macro_rules! both {
    ($left:expr, $right:expr) => {
        durable::join!($left, $right)
    };
}

#[workflow]
async fn from_another_macro() -> Result<String> {
    let value = "outer"; // no name of the expansion gets in the way
    let (left, right) = both!(text(value), text("right"));
    Ok(durable::select! {
        inner = text(value) => format!("{value} {inner}"),
        other = text("other") => format!("{value} {other} {left} {right}"),
    })
}

fn is_send<T: Send>(_: T) {}

#[test]
fn branches_borrow_and_select_takes_any_irrefutable_pattern() {
    let _ = borrows(1, 2).id("x");
    let _ = chooses(vec![]).id("x");
    let _ = maps(vec![], 1).id("x");
    let _ = from_another_macro().id("x");
    is_send(async { durable::join!(text("a"), text("b")) });
    is_send(async {
        durable::select! { a = text("a") => a, b = text("b") => b }
    });
}
