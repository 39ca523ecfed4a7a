//! The program `btp`.

use std::process::ExitCode;

fn main() -> ExitCode {
    btp::run()
}
