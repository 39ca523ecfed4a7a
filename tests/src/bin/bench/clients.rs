//! Load of many clients: each request comes from another one, as a header says.

use anyhow::Result;
use btp_tests::client::h1;
use btp_tests::{Envoy, Request};
use tokio::task::JoinSet;

pub(crate) const CONNECTIONS: usize = 8;

/// Requests on kept-alive connections, as fast as they are answered, so many on each.
/// Gives how many passed.
pub(crate) async fn load(envoy: &Envoy, requests: usize) -> Result<usize> {
    let addr = envoy.addr();
    let mut clients = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let first = connection * requests;
        clients.spawn(async move {
            let mut connection = h1::Connection::open(addr).await?;
            let mut passed = 0;
            for client in first..first + requests {
                let request = Request::get("/").header("x-client", client.to_string());
                passed += usize::from(connection.send(request).await?.status == 200);
            }
            anyhow::Ok(passed)
        });
    }
    let mut passed = 0;
    while let Some(client) = clients.join_next().await {
        passed += client??;
    }
    Ok(passed)
}
