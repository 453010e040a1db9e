//! Results that trouble whoever looks at them or takes them over.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use super::out::{argument, attempt, note};
use super::project::exchange;
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("WS08", change_below),
    ("WS09", special_files),
    ("WS10", odd_names),
    ("WS11", links_to_copy),
    ("WS11-then", through_the_links),
    ("WS12", colliding_names),
    ("WS13", forged_times),
    ("WS14", change_all),
    ("WS15", deceiving_text),
    ("WS16", option_names),
    ("swap", swap),
    ("write-through", write_through),
];

/// What may always be taken over.
fn harmless(token: &str) {
    attempt("harmless", fs::write("harmless", token));
}

/// Files of a directory that the host makes a link meanwhile.
fn change_below(arguments: &[String]) {
    let token = argument(arguments, 0);
    attempt("d/file", fs::write("d/file", token));
    attempt("d/new", fs::write("d/new", token));
}

/// What is no file, and files that are more than that.
fn special_files(arguments: &[String]) {
    let here = i64::from(libc::AT_FDCWD);
    for (name, kind, device) in [
        ("pipe", libc::S_IFIFO, 0),
        ("below/pipe", libc::S_IFIFO, 0),
        ("socket", libc::S_IFSOCK, 0),
        ("null", libc::S_IFCHR, 0x103),
        ("white", libc::S_IFCHR, 0),
    ] {
        let _ = fs::create_dir_all("below");
        let mut node = [
            Arg::Int(here),
            Arg::Text(name),
            Arg::Int(i64::from(kind | 0o666)),
            Arg::Int(device),
        ];
        attempt(name, call(libc::SYS_mknodat, &mut node).map(drop));
    }
    for (name, mode) in [
        ("set-user", 0o4755),
        ("set-group", 0o2755),
        ("below/both", 0o6711),
    ] {
        attempt(name, fs::write(name, argument(arguments, 0)));
        attempt(name, fs::set_permissions(name, Permissions::from_mode(mode)));
    }
    for (name, value) in [
        ("user.overlay.opaque", &b"y"[..]),
        ("user.overlay.redirect", b"/etc"),
        (
            "security.capability",
            b"\x01\0\0\x02\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
    ] {
        attempt(name, set_attribute("set-user", name, value));
        attempt(name, set_attribute("below", name, value));
    }
    attempt("outer", fs::hard_link("/etc/passwd", "outer"));
    attempt("out", symlink("/etc/passwd", "out"));
    harmless(argument(arguments, 0));
}

fn set_attribute(path: &str, name: &str, value: &[u8]) -> std::io::Result<()> {
    let mut value = value.to_vec();
    let length = i64::try_from(value.len()).unwrap_or(0);
    let mut arguments = [
        Arg::Text(path),
        Arg::Text(name),
        Arg::Bytes(&mut value),
        Arg::Int(length),
        Arg::Int(0),
    ];
    call(libc::SYS_setxattr, &mut arguments).map(drop)
}

/// Names of any bytes.
fn odd_names(arguments: &[String]) {
    let token = argument(arguments, 0);
    let long = [b'x'; 255];
    let names: [&[u8]; 12] = [
        b"new\nline",
        b"escape\x1b[2J\x1b]0;title\x07",
        b"bad\xff\xfe",
        b"-rf",
        b" before and after ",
        "composed-\u{e9}".as_bytes(),
        "decomposed-e\u{301}".as_bytes(),
        "right\u{202e}txt.exe".as_bytes(),
        b"..dots..",
        b"quo\"te'`$(id)",
        b"back\\slash",
        &long,
    ];
    for name in names {
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        attempt(path.display(), fs::write(path, token));
    }
}

/// `WS11 DIRECTORY`: a tree whose links lead to a directory of the host.
fn links_to_copy(arguments: &[String]) {
    let target = argument(arguments, 0);
    let _ = fs::create_dir_all("tree/up");
    attempt("absolute", symlink(target, "tree/absolute"));
    let up = format!("../../../../../../../../../..{target}");
    attempt("relative", symlink(up, "tree/up/relative"));
    attempt("file", symlink(format!("{target}/file"), "tree/direct"));
    let mut node = [
        Arg::Int(i64::from(libc::AT_FDCWD)),
        Arg::Text("tree/pipe"),
        Arg::Int(i64::from(libc::S_IFIFO | 0o600)),
        Arg::Int(0),
    ];
    attempt("pipe", call(libc::SYS_mknodat, &mut node).map(drop));
    harmless_in("tree/harmless", argument(arguments, 1));
    tell_place();
}

/// The same tree, with directories where links were: whoever wrote through the links he has made would
/// be led out.
fn through_the_links(arguments: &[String]) {
    let token = argument(arguments, 0);
    for name in ["tree/absolute", "tree/up/relative"] {
        attempt(name, fs::remove_file(name));
        attempt(name, fs::create_dir_all(name));
        attempt(name, fs::write(Path::new(name).join("file"), token));
        attempt(name, fs::write(Path::new(name).join("new"), token));
    }
    attempt("direct", fs::remove_file("tree/direct"));
    attempt("direct", fs::write("tree/direct", token));
    harmless_in("tree/second", token);
    tell_place();
}

fn harmless_in(path: &str, token: &str) {
    attempt(path, fs::write(path, token));
}

fn tell_place() {
    println!("place {}", std::env::current_dir().unwrap_or_default().display());
}

/// `WS12 TOKEN NAME`: the name, and others that some file systems take for the same or for none.
fn colliding_names(arguments: &[String]) {
    let token = argument(arguments, 0);
    let names = ["con", "aux.txt", "a:b", "dot.", "space ", "A", "a"];
    for name in names.into_iter().chain([argument(arguments, 1)]) {
        attempt(name, fs::write(name, token));
    }
    // Longer than a path may be.
    let part = "y".repeat(200);
    for _ in 0..25 {
        if fs::create_dir(&part)
            .and_then(|()| std::env::set_current_dir(&part))
            .is_err()
        {
            break;
        }
    }
    attempt("deep", fs::write("deep", token));
}

/// `WS13 TOKEN`: other content of the same length, at the same times.
fn forged_times(arguments: &[String]) {
    let token = argument(arguments, 0);
    let before = fs::metadata("file");
    attempt("file", fs::write("file", token));
    let restored = before.and_then(|before| {
        let file = fs::File::options().write(true).open("file")?;
        let times = fs::FileTimes::new()
            .set_modified(before.modified()?)
            .set_accessed(before.accessed()?);
        file.set_times(times)?;
        fs::set_permissions("file", before.permissions())
    });
    attempt("times", restored);
}

/// `WS14 TOKEN COUNT`: so many files become others.
fn change_all(arguments: &[String]) {
    let token = argument(arguments, 0);
    for number in 0..super::out::number(arguments, 1) {
        let name = format!("many/{number}");
        if let Err(error) = fs::write(&name, token) {
            note(error);
        }
    }
}

/// Text that shows as something else, and a line that goes on where nobody looks.
fn deceiving_text(arguments: &[String]) {
    let token = argument(arguments, 0);
    let text = format!(
        "good\n\x1b[1A\x1b[2Kevil\x1b[8m hidden\n\x1b]52;c;ZXZpbA==\x07\rover\u{202e}desrever\u{2066}\u{200b}\n{}{token}\n",
        " ".repeat(9000)
    );
    attempt("text", fs::write("text", text));
}

/// `WS16 TOKEN PATH`: names that are options of what may be run on the host, to make a file there.
fn option_names(arguments: &[String]) {
    let (token, path) = (argument(arguments, 0), argument(arguments, 1));
    attempt("x.sh", fs::write("x.sh", format!("touch {path}\n")));
    for name in [
        "--checkpoint=1",
        "--checkpoint-action=exec=sh x.sh",
        "--upload-pack=sh x.sh",
        "--output=x.sh",
        "-oProxyCommand=sh x.sh",
        "-rf",
        "--help",
        "@x.sh",
        "zz",
    ] {
        attempt(name, fs::write(name, token));
    }
}

/// `swap SECONDS ONE OTHER`: lets two names change places all the time.
fn swap(arguments: &[String]) {
    let until = Instant::now() + Duration::from_secs(super::out::number(arguments, 0).unsigned_abs());
    let (one, other) = (argument(arguments, 1), argument(arguments, 2));
    while Instant::now() < until && exchange(one, other).is_ok() {}
}

/// `write-through TOKEN PATH WITNESS`: what a careless `apply` would do, until the witness is there.
fn write_through(arguments: &[String]) {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until && !Path::new(argument(arguments, 2)).exists() {
        let _ = fs::write(argument(arguments, 1), argument(arguments, 0));
    }
}
