//! Test only, and not part of release builds: takes one protection from every sandbox of this program. The
//! battery starts it anew without any variables, so a file beside it says which.

use stockade_host::mutants::{MUTANTS, choose};

use crate::FAILED;

/// Its name, or `list`.
const MUTANT: &str = "mutant";

/// The exit code, where there is nothing more to do.
pub fn begin() -> Option<i32> {
    match chosen() {
        Ok(name) if name == "list" => {
            for mutant in MUTANTS {
                println!("{}\t{}", mutant.name, mutant.lacks);
            }
            Some(0)
        }
        Ok(_) => None,
        Err(why) => {
            eprintln!("stockade: error: {MUTANT}: {why}");
            Some(FAILED)
        }
    }
}

fn chosen() -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let name = std::fs::read_to_string(program.with_file_name(MUTANT)).map_err(|error| error.to_string())?;
    let name = name.trim();
    if name != "list" && name != "none" {
        choose(name)?;
    }
    Ok(name.to_owned())
}
