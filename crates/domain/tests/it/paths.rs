//! How paths are written.

use std::path::Path;

use stockade_domain::policy::paths::{Places, check_in_file, expand};

fn expanded(text: &str) -> Result<String, String> {
    let places = Places {
        home: Some(Path::new("/home/u")),
        workdir: Path::new("/home/u/p"),
        current: Path::new("/home/u/p/src"),
    };
    expand(text, &places)
        .map(|path| path.display().to_string())
        .map_err(|error| error.to_string())
}

/// The beginnings stand for their directories; doubled slashes and dots vanish.
#[test]
fn beginnings_are_expanded() {
    for (text, path) in [
        ("/opt/x", "/opt/x"),
        ("//opt/./x/", "/opt/x"),
        ("~", "/home/u"),
        ("~/data", "/home/u/data"),
        ("~//data", "/home/u/data"),
        ("$HOME/data", "/home/u/data"),
        ("$WORKDIR/.env", "/home/u/p/.env"),
        ("lib", "/home/u/p/src/lib"),
        ("../lib", "/home/u/p/src/../lib"),
        ("a~b", "/home/u/p/src/a~b"),
    ] {
        assert_eq!(expanded(text).as_deref(), Ok(path), "{text}");
    }
}

/// What means nothing is refused with what would.
#[test]
fn unknown_beginnings_are_refused() {
    for text in ["", "~root/x", "$XDG_DATA_HOME/x", "$HOMEX", "a\0b"] {
        assert!(expanded(text).is_err(), "{text}");
    }
    let places = Places {
        home: None,
        workdir: Path::new("/w"),
        current: Path::new("/w"),
    };
    assert!(expand("~/x", &places).is_err(), "no home");
    assert!(expand("/x", &places).is_ok(), "needs none");
}

/// A file's paths mean the same from every directory.
#[test]
fn files_take_fixed_paths_only() {
    for text in ["/opt/x", "~/x", "$HOME", "$WORKDIR/x", "/a..b"] {
        assert_eq!(check_in_file(text), Ok(()), "{text}");
    }
    for text in ["x", "./x", "../x", "/a/../b", "~/..", "/opt/*", ""] {
        assert!(check_in_file(text).is_err(), "{text}");
    }
}
