//! The `dpm` program: parses, calls, chooses the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(dpm::cli::main() as u8)
}
