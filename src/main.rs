//! The command line: reads the arguments, runs one command, turns its outcome into an exit code.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Clap itself ends the program for --help and --version (0) and for wrong usage (2).
    cli::run(cli::Arguments::parse())
}
