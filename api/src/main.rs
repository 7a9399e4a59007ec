//! The `stint` command.

use std::process::ExitCode;

mod cli;

/// Keeps the memory of a loaded server at a third of what the system's allocator leaves it at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
