//! What both builds of the deployed program share: all but the function that build B changes.
//!
//! ```text
//! deployed_a start            leaves a hundred workflows of three kinds in flight, and prints HOLDING
//! deployed_a run              runs what is there; prints its report of the deploy as `REPORT {..}`
//! deployed_a durable ARGS..   the command line, with the functions of this build
//! ```
//!
//! `DURABLE_DATABASE_URL` names the database. The workflows hold until there is a file `gate` in the working directory.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use durable::prelude::*;
use durable::queue;

/// How many workflows of the changed function there are, and of each of the two others.
const SHIPPING: u32 = 34;
const OTHERS: u32 = 33;

static HOLDING: AtomicU32 = AtomicU32::new(0);

#[step]
pub(crate) async fn pack() -> u32 {
    1
}

#[step]
pub(crate) async fn hold() -> u32 {
    if HOLDING.fetch_add(1, Ordering::SeqCst) + 1 == SHIPPING + 2 * OTHERS {
        println!("HOLDING");
    }
    while !Path::new("gate").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await; // the pause of the polling
    }
    1
}

#[workflow]
async fn refund() -> Result<u32> {
    Ok(pack().await + hold().await)
}

#[queue]
static MAIL: Queue = Queue::new("mail");

#[workflow(queue = MAIL)]
async fn mail() -> Result<u32> {
    Ok(pack().await + hold().await)
}

/// Runs the program with the function `shipping` of its build, which is given whether it holds before its second call.
pub(crate) async fn run(shipping: fn(bool) -> durable::WorkflowCall<u32>) -> Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG, errors by default
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let mode = std::env::args().nth(1).unwrap_or_default();
    let builder = Durable::builder("deployed");
    if mode == "durable" {
        return Ok(durable::cli::run(builder, std::env::args_os().skip(1)).await);
    }
    let app = builder.launch().await?;
    if mode == "start" {
        for number in 0..SHIPPING {
            shipping(number % 2 == 0).id(format!("shipping-{number}")).start().await?;
        }
        for number in 0..OTHERS {
            refund().id(format!("refund-{number}")).start().await?;
            mail().id(format!("mail-{number}")).start().await?;
        }
    } else {
        let report = app.deploy_report().await;
        println!("REPORT {}", serde_json::to_string(&report)?);
    }
    app.run_until_signal().await;
    Ok(ExitCode::SUCCESS)
}
