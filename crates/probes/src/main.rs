//! The inside half as a program: what is sent into a sandbox to attack it.

use std::process::ExitCode;

fn main() -> ExitCode {
    stockade_probes::inside::main()
}
