//! Memory of Envoy's process with one and with two workers: the difference is what each
//! further worker takes.

use std::fmt::Write as _;
use std::slice;
use std::sync::Arc;

use anyhow::Result;
use btp_tests::Envoy;
use btp_tests::measure::{median, resident_kib};

use crate::backend;
use crate::load::Connections;
use crate::output::Output;
use crate::setup::Setup;
use crate::traffic::{Request, Traffic};
use crate::variants::{self, Kind, Variant};

const ROUNDS: usize = 5;
const WORKERS: [u32; 2] = [1, 2];
/// So many that each worker has some.
const CONNECTIONS: usize = 32;
const REQUESTS: usize = 8_000;

const COMPARED: [(Kind, &str); 9] = [
    (Kind::Control, variants::CONTROL),
    (Kind::Wasm, variants::NOTHING),
    (Kind::Module, variants::NOTHING),
    (Kind::Envoy, "Lua that does nothing"),
    (Kind::Envoy, variants::FOUR),
    (Kind::Wasm, variants::FOUR),
    (Kind::Module, variants::FOUR),
    (Kind::Wasm, variants::FIVE),
    (Kind::Module, variants::FIVE),
];

pub(crate) async fn run(setup: &Setup, output: &Output) -> Result<()> {
    let backend = backend::start().await?;
    let mut variants = variants::some(backend, &COMPARED)?;
    if setup.is_smoke {
        variants.truncate(2);
    }
    let rounds = setup.rounds(ROUNDS);
    let mut table =
        "| | one worker | two workers | each further worker |\n|---|---|---|---|\n".to_owned();
    let mut raw = "variant,workers,round,resident_kib\n".to_owned();
    for variant in &variants {
        let name = variant.name();
        let mut medians = Vec::new();
        for workers in WORKERS {
            let mut kib = Vec::new();
            for round in 0..rounds {
                let own = measure(variant, workers, backend, setup).await?;
                writeln!(raw, "\"{name}\",{workers},{round},{own}")?;
                kib.push(own as f64);
            }
            medians.push(median(kib) / 1024.0);
        }
        let [one, two] = medians.as_slice() else {
            continue;
        };
        let further = two - one;
        writeln!(
            table,
            "| {name} | {one:.1} MiB | {two:.1} MiB | {further:+.1} MiB |"
        )?;
    }
    output.table("memory", &table)?;
    output.file("memory.csv", &raw)
}

/// KiB of an Envoy of its own that has served some requests.
async fn measure(
    variant: &Variant,
    workers: u32,
    backend: std::net::SocketAddr,
    setup: &Setup,
) -> Result<u64> {
    let bootstrap = variants::bootstrap(slice::from_ref(variant), backend)?;
    let envoy = Envoy::start(&bootstrap.with_concurrency(workers)).await?;
    let peer = envoy.listener_addr(&variant.listener())?;
    let mut connections = Connections::open(peer, CONNECTIONS).await?;
    let requests: Arc<[Request]> = vec![Traffic::Proxied.request()].into();
    let times = setup.amount(REQUESTS, CONNECTIONS);
    connections.send(&requests, times).await?;
    let kib = resident_kib(&envoy)?;
    envoy.stop();
    Ok(kib)
}
