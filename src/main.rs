//! The `filmroom` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    filmroom::cli::main()
}
