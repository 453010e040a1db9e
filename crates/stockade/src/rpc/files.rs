//! Files inside. Paths are text; a name that is not UTF-8 comes with its bytes in base64.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};
use stockade_host::control::RemoteFiles;
use stockade_host::files::{CHUNK, FileKind, FileOperation, FileStat, guest_path};

use super::protocol::{Content, MAX_READ, Problem, bytes, params};
use super::server::Outcome;
use crate::service::sandboxes;

/// Permissions of what is made without saying which.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

#[derive(Deserialize)]
struct Place {
    sandbox: String,
    path: PathBuf,
}

impl Place {
    async fn open(&self) -> Result<RemoteFiles, Problem> {
        Ok(sandboxes::connect(&self.sandbox).await?.files())
    }

    async fn change(&self, operation: FileOperation) -> Outcome {
        self.open().await?.change(&self.path, operation).await?;
        Ok(json!({}))
    }
}

#[derive(Deserialize)]
struct Read {
    #[serde(flatten)]
    place: Place,
    #[serde(default)]
    offset: u64,
    length: Option<u64>,
}

/// A part of a regular file.
pub async fn read(value: Value) -> Outcome {
    let asked: Read = params(value)?;
    let wanted = usize::try_from(asked.length.unwrap_or(MAX_READ).min(MAX_READ)).unwrap_or(0);
    let mut files = asked.place.open().await?;
    let mut content: Vec<u8> = Vec::new();
    loop {
        let offset = asked
            .offset
            .saturating_add(u64::try_from(content.len()).unwrap_or(0));
        let (mut part, stat) = files.read(&asked.place.path, offset).await?;
        let is_end = part.len() < CHUNK;
        let room = wanted - content.len();
        let cut = part.len() > room;
        part.truncate(room);
        content.extend_from_slice(&part);
        if is_end || content.len() >= wanted {
            let mut answer = bytes(&content);
            answer["size"] = stat.size.into();
            answer["end"] = (is_end && !cut).into();
            return Ok(answer);
        }
    }
}

#[derive(Deserialize)]
struct Write {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    content: Content,
    /// None: the file holds just this afterwards.
    offset: Option<u64>,
    mode: Option<u32>,
}

/// Writes a regular file, or a part of one.
pub async fn write(value: Value) -> Outcome {
    let asked: Write = params(value)?;
    let content = asked.content.into_bytes()?;
    let mut files = asked.place.open().await?;
    let mut offset = asked.offset.unwrap_or(0);
    let mut truncate = asked.offset.is_none();
    let empty: &[u8] = &[];
    for part in content.chunks(CHUNK).chain(content.is_empty().then_some(empty)) {
        let operation = FileOperation::Write {
            offset,
            bytes: part.to_vec(),
            create: Some(asked.mode.unwrap_or(FILE_MODE) & 0o777),
            truncate,
        };
        files.change(&asked.place.path, operation).await?;
        truncate = false;
        offset += u64::try_from(part.len()).unwrap_or(0);
    }
    Ok(json!({ "written": content.len() }))
}

#[derive(Deserialize)]
struct List {
    #[serde(flatten)]
    place: Place,
    #[serde(default)]
    after: String,
}

/// Some names in a directory, in order.
pub async fn list(value: Value) -> Outcome {
    let asked: List = params(value)?;
    let mut files = asked.place.open().await?;
    let (entries, more) = files.list(&asked.place.path, asked.after.as_bytes()).await?;
    let entry = |entry: &stockade_host::files::DirectoryEntry| {
        let mut shown = json!({ "name": String::from_utf8_lossy(&entry.name), "kind": kind(entry.kind) });
        if let Some(coded) = bytes(&entry.name).get("base64") {
            shown["name_base64"] = coded.clone();
        }
        shown
    };
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    Ok(json!({ "entries": entries, "more": more }))
}

#[derive(Deserialize)]
struct Stat {
    #[serde(flatten)]
    place: Place,
    #[serde(default)]
    follow: bool,
}

/// What a file is.
pub async fn stat(value: Value) -> Outcome {
    let asked: Stat = params(value)?;
    let stat = asked
        .place
        .open()
        .await?
        .stat(&asked.place.path, asked.follow)
        .await?;
    Ok(describe(&stat))
}

fn describe(stat: &FileStat) -> Value {
    let mut shown = json!({
        "kind": kind(stat.kind),
        "mode": stat.mode,
        "size": stat.size,
        "modified_s": stat.modified.0,
    });
    if stat.kind == FileKind::Symlink {
        shown["target"] = bytes(&stat.target);
    }
    shown
}

#[derive(Deserialize)]
struct Make {
    #[serde(flatten)]
    place: Place,
    mode: Option<u32>,
    #[serde(default)]
    parents: bool,
}

pub async fn make_directory(value: Value) -> Outcome {
    let asked: Make = params(value)?;
    let operation = FileOperation::MakeDir {
        mode: asked.mode.unwrap_or(DIRECTORY_MODE) & 0o777,
        parents: asked.parents,
    };
    asked.place.change(operation).await
}

#[derive(Deserialize)]
struct Remove {
    #[serde(flatten)]
    place: Place,
    #[serde(default)]
    recursive: bool,
}

pub async fn remove(value: Value) -> Outcome {
    let asked: Remove = params(value)?;
    let operation = FileOperation::Remove {
        recursive: asked.recursive,
    };
    asked.place.change(operation).await
}

#[derive(Deserialize)]
struct Rename {
    #[serde(flatten)]
    place: Place,
    to: PathBuf,
}

pub async fn rename(value: Value) -> Outcome {
    let asked: Rename = params(value)?;
    let to = guest_path(asked.to.as_os_str().as_bytes())?;
    asked.place.change(FileOperation::Rename { to }).await
}

fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Regular => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink => "link",
        FileKind::Fifo => "fifo",
        FileKind::Socket => "socket",
        FileKind::CharDevice | FileKind::BlockDevice => "device",
        FileKind::Unknown => "unknown",
    }
}
