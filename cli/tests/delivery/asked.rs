//! With `--admin`, and an admin interface of the test's own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::folder::{CDS, FAST, Folder, WITH};

/// Answers as an admin interface whose counters never change; `None` where
/// this machine has no such address.
fn idle_envoy(address: &str) -> Option<SocketAddr> {
    let listener = TcpListener::bind(address).ok()?;
    let address = listener.local_addr().ok()?;
    let counters =
        "cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_success: 1\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{:x}\r\n{counters}\r\n0\r\n\r\n",
        counters.len()
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("connects");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap_or(0);
            assert!(
                request[..length].starts_with(b"GET /"),
                "asks for anything else"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Some(address)
}

#[test]
fn an_envoy_that_takes_nothing_stops_the_run_and_the_clusters_of_before_are_there() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let Some(address) = idle_envoy(host) else {
            eprintln!("NOT TESTED on this machine: no address {host}");
            continue;
        };
        let folder = Folder::new("idle");
        folder.apply("", FAST);
        let rds = folder.live("rds.yaml");
        let words = [
            "cds.yaml is not loaded (cluster_manager.cds.update_success) after 200ms",
            "written: cds.yaml\nnot written: rds.yaml\n",
            "No request is lost",
            "run this command again",
        ];
        folder.fails(&format!("{WITH} --admin {address} --wait 200ms"), 3, &words);
        assert_eq!(folder.live("rds.yaml"), rds);
        assert!(folder.live("cds.yaml").starts_with(CDS));
        // Without it the same goes on from there.
        assert_eq!(folder.apply(WITH, FAST), "written: rds.yaml\n");
    }
}

#[test]
fn nobody_is_asked_where_nobody_can_be_watching_or_nothing_changes() {
    let folder = Folder::new("unasked");
    let nobody = TcpListener::bind("127.0.0.1:0")
        .expect("can be bound")
        .local_addr()
        .expect("has one");
    let options = format!("--admin {nobody}");
    folder.apply("", &options);
    folder.apply("", &options);
    folder.fails(
        &format!("{WITH} {options}"),
        2,
        &["cannot be reached", "Nothing was written"],
    );
    assert_eq!(folder.live("cds.yaml"), CDS);
}
