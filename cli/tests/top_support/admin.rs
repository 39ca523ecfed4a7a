//! An admin interface of Envoy's, as much of it as `btp top` needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

/// The interface, which lives as long as the test.
pub(crate) struct Admin {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    looks: AtomicU64,
    has_restarted: AtomicBool,
    is_down: AtomicBool,
}

impl Admin {
    /// Starts one whose statistics at each look, from 1, are these.
    pub(crate) fn start(stats: fn(u64) -> Value) -> Self {
        Self::start_at("127.0.0.1:0", stats).expect("there is a port")
    }

    pub(crate) fn start_at(address: &str, stats: fn(u64) -> Value) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let address = listener.local_addr().expect("is bound");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who has gone needs no answer.
                let _ = answer(stream, &shared, stats);
            }
        });
        Some(Self { address, state })
    }

    /// From now on it has been up for a shorter time.
    pub(crate) fn restart(&self) {
        self.state.has_restarted.store(true, Ordering::SeqCst);
    }

    /// Whether it closes connections without an answer.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.state.is_down.store(is_down, Ordering::SeqCst);
    }
}

fn answer(mut stream: TcpStream, state: &State, stats: fn(u64) -> Value) -> std::io::Result<()> {
    if state.is_down.load(Ordering::SeqCst) {
        return Ok(());
    }
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request);
    let uptime = match state.has_restarted.load(Ordering::SeqCst) {
        true => "1s",
        false => "100s",
    };
    let body = if request.starts_with("GET /server_info ") {
        json!({
            "version": "abc/1.40.0/Clean/RELEASE/BoringSSL",
            "state": "LIVE",
            "uptime_current_epoch": uptime,
            "command_line_options": {"concurrency": 2},
        })
    } else if request.starts_with("GET /stats?format=json&filter=") {
        let look = state.looks.fetch_add(1, Ordering::SeqCst) + 1;
        json!({"stats": stats(look)})
    } else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    };
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
