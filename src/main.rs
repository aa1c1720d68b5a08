//! The `a2z` program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    a2z::run(&a2z::cli::Cli::parse())
}
