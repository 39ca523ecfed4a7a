//! A backend that answers at once, with as little work as can be: it may run on Envoy's
//! core.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::load::{content_length, end_of_head};

/// Starts it; it answers 404 to `/absent` and 200 to all else.
pub(crate) async fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(addr)
}

async fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::with_capacity(4096);
    loop {
        let whole = loop {
            if let Some(head) = end_of_head(&unread) {
                let body = content_length(&unread[..head])?.unwrap_or(0);
                if unread.len() >= head + body {
                    break head + body;
                }
            }
            if stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
        };
        let is_absent = unread.starts_with(b"GET /absent ");
        unread.drain(..whole);
        let status = if is_absent { "404 Not Found" } else { "200 OK" };
        let reply = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n"
        );
        stream.write_all(reply.as_bytes()).await?;
    }
}
