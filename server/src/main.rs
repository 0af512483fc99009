//! `gitward`: starts what the command line asks for.

use std::process::ExitCode;

use clap::Parser;
use server::cli::Cli;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("gitward: no threads to work with: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(Cli::parse().run());
    // What is still under way has no one who waits for it: the name of a host whose name server is silent would keep the
    // process, and Git with it.
    runtime.shutdown_background();
    code
}
