//! The guest and nothing else: what the whole program becomes inside, as a small program of
//! its own for places that it has to be carried to.

fn main() -> ! {
    stockade_guest::main()
}
