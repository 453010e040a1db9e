//! Fills a state directory with records of sandboxes that have ended, so that lists of many
//! can be timed and tested without running as many; `cargo xtask bench` does.
//!
//! ```text
//! cargo run --release -p stockade-host --example finished_sandboxes -- DIRECTORY 10000
//! ```

use std::path::Path;
use std::sync::Arc;

use stockade_domain::Exit;
use stockade_host::driver::Record;
use stockade_host::state::{Finish, NewSandbox, StateDirs};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("usage: finished_sandboxes DIRECTORY COUNT".into());
    };
    let dirs = Arc::new(StateDirs::open(Path::new(&directory))?);
    for number in 0..count.parse::<u32>()? {
        finished(&dirs, number)?;
    }
    Ok(())
}

fn finished(dirs: &Arc<StateDirs>, number: u32) -> Result<(), Failure> {
    let mut folder = dirs.create(NewSandbox {
        driver: "native".to_owned(),
        name: Some(format!("finished-{number}")),
        command: ["sh", "-c", "make test"].map(str::to_owned).to_vec(),
        workspace: Some("/var/tmp".into()),
        keep: true,
        ..NewSandbox::default()
    })?;
    let id = folder.id().to_owned();
    folder.running(Record {
        version: 1,
        driver: "native".to_owned(),
        id,
        body: serde_json::json!({ "pid": 1 }),
    })?;
    folder.finish(Finish {
        exit: Some(Exit::Code(0)),
        ..Finish::default()
    })?;
    Ok(())
}
