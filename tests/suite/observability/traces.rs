//! Traces, as a collector receives them from a real exporter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::support::{ProcessDatabase, finished, process_tests, program};

process_tests! {
    an_order_is_one_trace_until_a_crash_and_a_resume_begin_linked_ones,
}

/// A stand-in for a collector: it takes what exporters post.
struct Collector {
    port: u16,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let received = Arc::clone(&spans);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let received = Arc::clone(&received);
                tokio::spawn(async move { take(stream, &received).await });
            }
        });
        Self { port, spans }
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

/// Takes one post.
async fn take(mut stream: TcpStream, received: &Mutex<Vec<Span>>) {
    let mut bytes = Vec::new();
    let body = loop {
        let head_end = bytes.windows(4).position(|it| it == b"\r\n\r\n").map(|it| it + 4);
        if let Some(start) = head_end {
            let head = String::from_utf8_lossy(&bytes[..start]).to_lowercase();
            let length =
                head.lines().find_map(|it| it.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap();
            if bytes.len() >= start + length {
                break bytes[start..start + length].to_vec();
            }
        }
        let mut more = [0; 8192];
        match stream.read(&mut more).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&more[..read]),
            _ => return, // the process has crashed
        }
    };
    let request = ExportTraceServiceRequest::decode(&*body).expect("it is the protobuf of OTLP");
    let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
    received.lock().unwrap().extend(scopes.flat_map(|it| it.spans));
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
}

fn start(task: &str, database: &ProcessDatabase, collector: &Collector) -> Child {
    Command::new(program("traces"))
        .arg(task)
        .current_dir(database.folder())
        .env("DURABLE_DATABASE_URL", database.url())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", collector.port))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("the program can be started")
}

/// The traces as trees, in the order of their begins. A span whose parent was lost in the crash is below `(lost)`.
fn trees(spans: &[Span]) -> Vec<String> {
    let mut traces: BTreeMap<u64, Vec<&Span>> = BTreeMap::new();
    let begin_of = |trace: &[u8]| {
        let of_trace = spans.iter().filter(|it| it.trace_id == trace);
        of_trace.map(|it| it.start_time_unix_nano).min().unwrap_or_default()
    };
    for span in spans {
        traces.entry(begin_of(&span.trace_id)).or_default().push(span);
    }
    let tree = |mut of_trace: Vec<&Span>| {
        of_trace.sort_by_key(|it| it.start_time_unix_nano);
        let mut text = String::new();
        let is_here = |id: &[u8]| of_trace.iter().any(|it| it.span_id == id);
        for span in of_trace.iter().filter(|it| it.parent_span_id.is_empty()) {
            write_tree(&mut text, span, &of_trace, 0);
        }
        let lost: Vec<_> =
            of_trace.iter().filter(|it| !it.parent_span_id.is_empty() && !is_here(&it.parent_span_id)).collect();
        if !lost.is_empty() {
            text.push_str("(lost)\n");
            for span in lost {
                write_tree(&mut text, span, &of_trace, 1);
            }
        }
        text
    };
    traces.into_values().map(tree).collect()
}

fn write_tree(text: &mut String, span: &Span, all: &[&Span], depth: usize) {
    let failed = span.status.as_ref().is_some_and(|it| it.code == 2);
    let (indent, links) = ("  ".repeat(depth), span.links.len());
    let _ = write!(text, "{indent}{}", span.name);
    if links > 0 {
        let _ = write!(text, " (links {links})");
    }
    text.push_str(if failed { " failed\n" } else { "\n" });
    for child in all.iter().filter(|it| it.parent_span_id == span.span_id) {
        write_tree(text, child, all, depth + 1);
    }
}

async fn an_order_is_one_trace_until_a_crash_and_a_resume_begin_linked_ones(database: &ProcessDatabase) {
    let collector = Collector::listen().await;
    let mut first = start("place", database, &collector);
    let crashed = tokio::time::timeout(std::time::Duration::from_mins(2), first.wait()).await.expect("it crashes");
    assert!(!crashed.unwrap().success());
    let second = finished(start("run", database, &collector)).await;
    let third = finished(start("resume", database, &collector)).await;
    assert!(third.contains("on its way"), "{third}");

    let spans = collector.spans();
    let trees = trees(&spans);
    println!("{}", trees.join("\n"));
    // The spans of the request and of the workflow had not ended when the process crashed.
    assert_eq!(
        trees,
        [
            "(lost)\n  step reserve\n  workflow charge\n    step call_the_bank\n  workflow mail\n    step send_mail\n",
            "workflow order (links 1) failed\n  step pack\n  step ship failed\n",
            "workflow order (links 1)\n  step ship\n",
            "start order\n  workflow order\n    step reserve\n    workflow charge\n      step call_the_bank\n    workflow mail\n      \
             step send_mail\n    step pack\n    step ship\n",
        ]
    );
    let of_first = &spans.iter().find(|it| it.name == "step reserve").unwrap().trace_id;
    for later in spans.iter().filter(|it| it.name == "workflow order" && it.parent_span_id.is_empty()) {
        assert_eq!(&later.links[0].trace_id, of_first, "each later run is linked to the trace of the call");
    }
    // What the body logged before the crash is not logged by the later runs. The line itself stays enabled, although a
    // replay has reached it first in its process, which has one subscriber as most programs.
    assert!(!second.contains("is paid") && !third.contains("order 7 is paid"), "{second}{third}");
    assert!(third.contains("order 8 is paid"), "{third}");
}
