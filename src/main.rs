//! The `dpm` program: parses, calls, chooses the exit code.

fn main() {}
