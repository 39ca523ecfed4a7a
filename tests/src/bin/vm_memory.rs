//! `vm_memory [STREAMS [PATH_BYTES [upstream]]]`: by how much half-open requests enlarge a
//! worker's VM, as a line of figures. Fails beyond the bound.

use anyhow::{Result, ensure};
use btp_tests::half_open::{BYTES_PER_STREAM, Held, measure};

#[tokio::main]
async fn main() -> Result<()> {
    let mut numbers = std::env::args()
        .skip(1)
        .take(2)
        .map(|text| text.parse::<usize>());
    let streams = numbers.next().transpose()?.unwrap_or(20_000);
    let path_bytes = numbers.next().transpose()?.unwrap_or(56_000);
    let held = match std::env::args().nth(3).as_deref() {
        Some("upstream") => Held::Upstream,
        _ => Held::Gathered,
    };
    let growth = measure(streams, path_bytes, held).await?;
    let per_stream = growth.per_stream();
    println!("{growth:?}: {per_stream} bytes for each stream");
    ensure!(per_stream <= BYTES_PER_STREAM, "at most {BYTES_PER_STREAM}");
    Ok(())
}
