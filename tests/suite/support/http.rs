//! A minimal HTTP client.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The response of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends one request, on a connection of its own.
///
/// # Errors
/// The connection was refused, or broke before the response was complete.
pub(crate) async fn get(port: u16, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    ask(&mut stream, path).await?;
    answer(&mut stream).await
}

pub(crate) async fn ask(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await
}

/// Reads one response; the connection may stay open after it.
pub(crate) async fn answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut text = Vec::new();
    let end = loop {
        if let Some(at) = text.windows(4).position(|it| it == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut text).await?;
    };
    let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
    let length = head.lines().find_map(|it| it.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
    while text.len() < end + length {
        read_more(stream, &mut text).await?;
    }
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: {head:?}")))?;
    Ok(Answer { status, head, body: String::from_utf8_lossy(&text[end..]).into_owned() })
}

async fn read_more(stream: &mut TcpStream, text: &mut Vec<u8>) -> io::Result<()> {
    let mut some = [0; 1024];
    match stream.read(&mut some).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            text.extend_from_slice(&some[..read]);
            Ok(())
        }
    }
}
