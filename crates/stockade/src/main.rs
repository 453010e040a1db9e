//! Stockade's program: a table of contents.

mod cli;
mod failure;
mod report;
mod service;
mod terminal;

fn main() {
    // The same file becomes PID 1 of a sandbox. It must get there before anything else is
    // parsed, started or allocated: what follows is not for the inside.
    if is_guest() {
        stockade_guest::main();
    }
    std::process::exit(cli::main());
}

/// Started by the name `stockade-guest`, or with the hidden command `guest`.
fn is_guest() -> bool {
    let mut words = std::env::args_os();
    let name = words.next();
    let name = name.as_deref().map(std::path::Path::new).and_then(std::path::Path::file_name);
    name.is_some_and(|name| name == "stockade-guest") || words.next().is_some_and(|word| word == "guest")
}
