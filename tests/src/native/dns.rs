//! A name server of a test's own: every name is this machine, and what was
//! asked is remembered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The type of a record of an IPv4 address.
pub const A: u16 = 1;
/// The type of a record of an IPv6 address.
pub const AAAA: u16 = 28;

const HEADER: usize = 12;
const RESOLVER: &str =
    "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";

/// A running name server; stops when dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<u16>>>,
    server: JoinHandle<()>,
}

impl NameServer {
    /// Answers every question of these types with the address of this machine,
    /// which holds for `ttl` seconds; others have no answer.
    pub async fn start(known: &'static [u16], ttl: u32) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let server = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let Some((kind, question)) = question(&buffer[..length]) else {
                    continue;
                };
                log.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(kind);
                let is_known = known.contains(&kind);
                let reply = answer(&buffer[..2], question, kind, is_known.then_some(ttl));
                let _ = socket.send_to(&reply, from).await;
            }
        });
        Ok(Self {
            address,
            asked,
            server,
        })
    }

    /// The types of the queries, in order.
    pub fn asked(&self) -> Vec<u16> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Has a cluster of static endpoints look their addresses up here.
    pub fn resolve(&self, cluster: &mut Value) -> Result<()> {
        cluster["type"] = "STRICT_DNS".into();
        let (ip, port) = (self.address.ip().to_string(), self.address.port());
        cluster["typed_dns_resolver_config"] = json!({
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": RESOLVER,
                "resolvers": [{"socket_address": {"address": ip, "port_value": port}}],
                "dns_resolver_options": {"no_default_search_domain": true},
            },
        });
        let endpoint = cluster
            .pointer_mut("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address")
            .context("a cluster of one endpoint")?;
        endpoint["socket_address"]["address"] = "shop.test".into();
        Ok(())
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The type and the bytes of the one question of a message.
fn question(message: &[u8]) -> Option<(u16, &[u8])> {
    let name = message.get(HEADER..)?;
    let end = HEADER + name.iter().position(|byte| *byte == 0)? + 1;
    let kind = message.get(end..end + 2)?;
    Some((
        u16::from_be_bytes([kind[0], kind[1]]),
        message.get(HEADER..end + 4)?,
    ))
}

fn answer(id: &[u8], question: &[u8], kind: u16, ttl: Option<u32>) -> Vec<u8> {
    // A response, with recursion; one question.
    let mut reply = [
        id,
        &[0x81, 0x80, 0, 1, 0, u8::from(ttl.is_some()), 0, 0, 0, 0],
    ]
    .concat();
    reply.extend_from_slice(question);
    if let Some(ttl) = ttl {
        let address: &[u8] = match kind {
            A => &[127, 0, 0, 1],
            _ => &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        };
        // The name of the question, by its place.
        reply.extend_from_slice(&[0xc0, 12]);
        reply.extend_from_slice(&kind.to_be_bytes());
        reply.extend_from_slice(&[0, 1]);
        reply.extend_from_slice(&ttl.to_be_bytes());
        reply.extend_from_slice(&[0, if kind == A { 4 } else { 16 }]);
        reply.extend_from_slice(address);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_by_the_address_of_this_machine() {
        let mut message = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(b"\x04shop\x04test\0\0\x01\0\x01");
        let (kind, asked) = question(&message).unwrap();
        assert_eq!((kind, asked.len()), (A, 15));
        let reply = answer(&message[..2], asked, kind, Some(5));
        assert_eq!(reply[..8], [7, 8, 0x81, 0x80, 0, 1, 0, 1]);
        assert_eq!(reply[reply.len() - 10..], [0, 0, 0, 5, 0, 4, 127, 0, 0, 1]);
        let none = answer(&message[..2], asked, AAAA, None);
        assert_eq!(none.len(), HEADER + 15);
    }
}
