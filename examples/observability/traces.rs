//! Traces: an order whose workflow has a child and a queued workflow, crashes, continues in another process, fails, and is
//! resumed. Its spans go to a collector by OTLP.
//!
//! ```text
//! cargo run --example traces -- place      # crashes while it packs
//! cargo run --example traces -- run        # continues there; there is no truck, so the order fails
//! cargo run --example traces -- resume     # ends it, and another order that has no request
//! ```
//!
//! The collector is at `OTEL_EXPORTER_OTLP_ENDPOINT`, by default `http://localhost:4318`; that of Jaeger is
//! `docker run -p 16686:16686 -p 4318:4318 jaegertracing/jaeger`. The state is in `traces.sqlite`, or where
//! `DURABLE_DATABASE_URL` says.
//!
//! A program of your own needs the feature `opentelemetry` of durable, `tracing-opentelemetry`, and an exporter such as
//! `opentelemetry-otlp` with its feature `reqwest-blocking-client`; then no client has to be written.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

use durable::prelude::*;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Instrument;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

#[queue]
static MAILS: Queue = Queue::new("mails");

/// What this process is to do, and its traces.
static PROCESS: OnceLock<(String, SdkTracerProvider)> = OnceLock::new();

fn process() -> &'static (String, SdkTracerProvider) {
    PROCESS.get().expect("it is set first of all")
}

#[step]
async fn reserve(order: &str) -> String {
    tracing::info!("reserved the goods of {order}");
    format!("goods of {order}")
}

#[step]
async fn call_the_bank(cents: u64) -> u64 {
    cents
}

#[workflow]
async fn charge(cents: u64) -> Result<u64> {
    Ok(call_the_bank(cents).await)
}

#[step]
async fn send_mail(to: &str) -> String {
    format!("sent to {to}")
}

#[workflow]
async fn mail(to: String) -> Result<String> {
    Ok(send_mail(&to).await)
}

#[step]
async fn pack(_goods: &str) {
    let (task, provider) = process();
    if task == "place" {
        let _ = provider.force_flush(); // a crash loses what was not exported
        std::process::abort();
    }
}

#[step]
async fn ship(_goods: &str) -> Result<String> {
    if process().0 == "run" { Err(Error::msg("there is no truck")) } else { Ok("on its way".to_owned()) }
}

#[workflow]
async fn order(id: String) -> Result<String> {
    tracing::info!("the order {id} begins");
    let goods = reserve(&id).await;
    charge(700).await?;
    mail("a customer".to_owned()).enqueue(&MAILS).await?.await?;
    tracing::info!("the order {id} is paid");
    pack(&goods).await;
    ship(&goods).await
}

/// Posts to a collector without TLS. The exporter calls it on a thread of its own, which it may block.
#[derive(Debug)]
struct PlainHttp;

#[async_trait::async_trait]
impl HttpClient for PlainHttp {
    async fn send_bytes(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, HttpError> {
        let (uri, body) = (request.uri(), request.body());
        let host = uri.host().ok_or("the endpoint has no host")?;
        let mut stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80)))?;
        let (path, length) = (uri.path(), body.len());
        write!(stream, "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n")?;
        for (name, value) in request.headers().iter().filter(|(name, _)| *name != "content-length") {
            write!(stream, "{name}: {}\r\n", value.to_str()?)?;
        }
        stream.write_all(b"\r\n")?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status: u16 = answer.split(' ').nth(1).ok_or("no answer")?.parse()?;
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }
}

fn install_traces() -> SdkTracerProvider {
    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|_| "http://localhost:4318".to_owned());
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(PlainHttp)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .build()
        .expect("the endpoint is a URL");
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("shop").build())
        .build();
    let traced = Targets::new().with_target("traces", LevelFilter::INFO).with_target("durable", LevelFilter::INFO);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")).with_filter(traced);
    let log = tracing_subscriber::fmt::layer().without_time().with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(layer).with(log).init();
    provider
}

#[tokio::main]
async fn main() -> Result<()> {
    let task = std::env::args().nth(1).unwrap_or_else(|| "place".to_owned());
    let provider = install_traces();
    let _ = PROCESS.set((task.clone(), provider.clone()));
    let app = Durable::launch("traces").await?;
    match task.as_str() {
        // In a web service this is the span of the request, whose caller may have given the trace.
        "place" => {
            let request = tracing::info_span!("POST /orders");
            drop(async { order("7".to_owned()).id("order-7").await }.instrument(request).await);
        }
        "run" => drop(durable::retrieve_workflow::<String>("order-7").await?.await),
        _ => {
            app.resume_workflow("order-7").await?;
            println!("{}", durable::retrieve_workflow::<String>("order-7").await?.await?);
            order("8".to_owned()).id("order-8").await?;
        }
    }
    app.shutdown().await;
    let _ = provider.shutdown(); // exports what is left
    Ok(())
}
