//! A rate limit service for the tests: it answers Envoy's rate limit filter as
//! envoyproxy/ratelimit or Limitador would with the same file.
//!
//! The file is read by the rules of the service that it is for, as strictly
//! as there; where counts are kept is that service's way, too. What no file of this project
//! has (further keys, other storages) is not here.
//!
//! The first line that is printed is the address it listens on. It logs to stderr.

mod file;
mod grpc;
mod limitador;
mod ratelimit;
mod rls;
mod service;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;

use service::Service;

/// Answers Envoy's rate limit filter, for tests.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 leaves the choice to the system.
    #[arg(long)]
    listen: SocketAddr,
    /// Whose file it is.
    #[arg(long)]
    format: Format,
    /// The file of limits; it is read again when it changes.
    #[arg(long)]
    config: PathBuf,
    /// Where Redis is, which counts for format envoy.
    #[arg(long, required_if_eq("format", "envoy"))]
    redis: Option<SocketAddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The file of envoyproxy/ratelimit.
    Envoy,
    /// The limits file of Limitador.
    Limitador,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let text = file::read(&args.config)?;
    let service = match args.redis {
        Some(redis) if matches!(args.format, Format::Envoy) => Service::envoy(&text, redis),
        _ => Service::limitador(&text),
    };
    let service = Arc::new(service.with_context(|| args.config.display().to_string())?);
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    tokio::spawn(file::follow(args.config, text, Arc::clone(&service)));
    grpc::serve(listener, service).await
}
