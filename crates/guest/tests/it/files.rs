//! File requests.

use stockade_wire::limits::{CHUNK, MAX_ENTRIES};
use stockade_wire::{FileAnswer, FileError, FileKind, FileOperation, FileStat};

use crate::client::{Client, script};
use crate::sandbox::Sandbox;

crate::tests![
    writes_and_reads_in_chunks,
    makes_and_removes,
    describes,
    lists_in_order_and_in_parts,
    refuses_what_is_no_data,
    failures_name_the_file,
    worker_that_is_killed_is_replaced,
];

/// A directory for one test.
struct Place {
    path: String,
    client: Client,
    _sandbox: Sandbox,
}

impl Place {
    fn new() -> Self {
        let (sandbox, mut client) = Sandbox::start();
        let path = String::from_utf8(client.run(script("mktemp -d")).stdout.clone())
            .unwrap()
            .trim()
            .to_owned();
        Self {
            path,
            client,
            _sandbox: sandbox,
        }
    }

    fn file(&mut self, name: &str, operation: FileOperation) -> Result<FileAnswer, FileError> {
        let path = format!("{}/{name}", self.path);
        self.client.file(&path, operation)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) {
        let operation = FileOperation::Write {
            offset,
            bytes: bytes.to_vec(),
            create: Some(0o640),
            truncate: offset == 0,
        };
        assert_eq!(self.file(name, operation), Ok(FileAnswer::Done));
    }

    fn stat(&mut self, name: &str, follow: bool) -> Result<FileStat, FileError> {
        self.file(name, FileOperation::Stat { follow })
            .map(|answer| match answer {
                FileAnswer::Stat(stat) => stat,
                other => panic!("{other:?}"),
            })
    }

    fn read(&mut self, name: &str, offset: u64) -> Result<Vec<u8>, FileError> {
        self.file(
            name,
            FileOperation::Read {
                offset,
                length: u32::MAX,
            },
        )
        .map(|answer| match answer {
            FileAnswer::Chunk { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        })
    }

    fn script(&mut self, text: &str) {
        let text = format!("cd {} && {text}", self.path);
        let seen = self.client.run(script(&text));
        assert!(
            seen.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&seen.stderr)
        );
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

// What is written in parts is read in parts; the mode is as asked for.
fn writes_and_reads_in_chunks() {
    let mut place = Place::new();
    let content: Vec<u8> = (0..CHUNK * 2 + 5)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    for (number, part) in content.chunks(CHUNK).enumerate() {
        place.write("file", (number * CHUNK) as u64, part);
    }
    let mut read = Vec::new();
    loop {
        let part = place.read("file", read.len() as u64).unwrap();
        if part.is_empty() {
            break;
        }
        read.extend(part);
    }
    assert!(read == content);
    let stat = place.stat("file", false).unwrap();
    assert_eq!(
        (stat.kind, stat.mode, stat.size),
        (FileKind::Regular, 0o640, content.len() as u64)
    );
    place.write("file", 0, b"short");
    assert_eq!(place.read("file", 0).unwrap(), b"short");
}

// Directories with and without parents, links, renames, modes, removal of trees.
fn makes_and_removes() {
    let mut place = Place::new();
    let make = |parents| FileOperation::MakeDir { mode: 0o755, parents };
    assert!(place.file("a/b/c", make(false)).is_err());
    place.file("a/b/c", make(true)).unwrap();
    place.file("a/b/c", make(true)).unwrap();
    assert!(place.file("a/b/c", make(false)).is_err());
    place.write("a/b/file", 0, b"x");
    place
        .file(
            "a/link",
            FileOperation::MakeLink {
                target: b"b/file".to_vec(),
            },
        )
        .unwrap();
    assert_eq!(place.read("a/link", 0).unwrap(), b"x");
    place
        .file("a/b/file", FileOperation::SetMode { mode: 0o4711 })
        .unwrap();
    assert_eq!(place.stat("a/b/file", false).unwrap().mode, 0o4711);
    let to = stockade_wire::GuestPath::new(format!("{}/a/renamed", place.path)).unwrap();
    place.file("a/b/file", FileOperation::Rename { to }).unwrap();
    assert_eq!(place.read("a/renamed", 0).unwrap(), b"x");
    assert!(
        place
            .file("a", FileOperation::Remove { recursive: false })
            .is_err()
    );
    place.script("mkdir outside && touch outside/kept && ln -s ../outside a/way");
    place
        .file("a", FileOperation::Remove { recursive: true })
        .unwrap();
    assert!(place.stat("a", false).is_err());
    assert!(
        place.stat("outside/kept", false).is_ok(),
        "links are removed, not followed"
    );
}

// Links and what they lead to are told apart.
fn describes() {
    let mut place = Place::new();
    place.script("echo 12345 > file && ln -s file link && mkfifo pipe");
    let link = place.stat("link", false).unwrap();
    assert_eq!(
        (link.kind, link.target.as_slice()),
        (FileKind::Symlink, &b"file"[..])
    );
    let file = place.stat("link", true).unwrap();
    assert_eq!((file.kind, file.size), (FileKind::Regular, 6));
    assert_eq!(file.identity, place.stat("file", false).unwrap().identity);
    assert_eq!(place.stat("pipe", false).unwrap().kind, FileKind::Fifo);
    assert_eq!(place.stat(".", false).unwrap().kind, FileKind::Directory);
}

// More names than go into a message come in parts, each once and in order.
fn lists_in_order_and_in_parts() {
    let mut place = Place::new();
    let count = MAX_ENTRIES * 2 + 10;
    place.script(&format!(
        "mkdir many && cd many && seq -w 1 {count} | xargs touch"
    ));
    let mut names: Vec<Vec<u8>> = Vec::new();
    loop {
        let after = names.last().cloned().unwrap_or_default();
        let Ok(FileAnswer::Entries { entries, more }) = place.file("many", FileOperation::List { after })
        else {
            panic!("no list");
        };
        assert!(entries.iter().all(|entry| entry.kind == FileKind::Regular));
        names.extend(entries.into_iter().map(|entry| entry.name));
        if !more {
            break;
        }
    }
    let width = count.to_string().len();
    let expected: Vec<Vec<u8>> = (1..=count)
        .map(|number| format!("{number:0width$}").into_bytes())
        .collect();
    assert_eq!(names, expected);
}

// A pipe does not hang it, the kernel's links lead nowhere, its files are no data.
fn refuses_what_is_no_data() {
    let mut place = Place::new();
    place.script("mkfifo pipe && mkdir dir && echo data > file && ln -s /proc/self/environ trap && ln -s /proc/self/root/etc/passwd way");
    for name in ["pipe", "dir", "trap", "way"] {
        assert!(place.read(name, 0).is_err(), "{name}");
    }
    assert!(
        place
            .client
            .file(
                "/proc/self/status",
                FileOperation::Read {
                    offset: 0,
                    length: 10
                }
            )
            .is_err()
    );
    assert_eq!(place.read("file", 0).unwrap(), b"data\n");
}

// The error says what failed on which file and why.
fn failures_name_the_file() {
    let mut place = Place::new();
    let error = place.read("missing", 0).unwrap_err();
    assert_eq!(error.errno, 2);
    assert!(
        error.text.contains("cannot read") && error.text.contains("missing"),
        "{}",
        error.text
    );
}

// A command may kill the worker where there is no inner wall: the next request gets another.
fn worker_that_is_killed_is_replaced() {
    let mut place = Place::new();
    place.write("file", 0, b"one");
    let kill = "for comm in /proc/[0-9]*/comm; do [ $(cat $comm) = stockade-files ] && \
                pid=${comm#/proc/} && kill -9 ${pid%/comm} && echo killed; done";
    let seen = place.client.run(script(kill));
    assert_eq!(seen.stdout, b"killed\n");
    // The end of the old one may be noticed only by the request that finds it gone.
    let first = place.read("file", 0);
    assert!(first.is_err() || first == Ok(b"one".to_vec()));
    assert_eq!(place.read("file", 0).unwrap(), b"one");
}
