//! Other programs, told to show the same files as Stockade does.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::place::Place;

/// The arguments that make bubblewrap show what `stockade run` shows, taken from the plan
/// that Stockade itself prints. Bubblewrap 0.8 has no overlays: it gets the workspace and the
/// caches as plain binds, which cost it less.
pub fn bwrap_arguments(place: &Place) -> Result<Vec<String>> {
    let output = place
        .stockade(&["run", "--dry-run", "--json", "--", "/bin/true"])
        .stdin(Stdio::null())
        .output()
        .context("asking stockade for its plan")?;
    if !output.status.success() {
        bail!(
            "`stockade run --dry-run --json` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let plan: Value = serde_json::from_slice(&output.stdout).context("reading the plan")?;
    let view = find(&plan, "view").context("the plan has no file view")?;
    let files = place.scratch().join("files");
    std::fs::create_dir_all(&files)?;
    from_view(view, &place.workspace(), &files)
}

/// A `bwrap` command with this view.
pub fn bwrap(place: &Place, view: &[String], command: &[&str]) -> Command {
    let mut bwrap = place.outside(Path::new("bwrap"));
    bwrap.args(["--unshare-all", "--die-with-parent"]).args(view);
    bwrap
        .arg("--chdir")
        .arg(place.workspace())
        .arg("--")
        .args(command);
    bwrap
}

/// The first value with this key, at any depth.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map
            .get(key)
            .or_else(|| map.values().find_map(|inner| find(inner, key))),
        Value::Array(list) => list.iter().find_map(|inner| find(inner, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn from_view(view: &Value, workspace: &Path, files: &Path) -> Result<Vec<String>> {
    let entries = view["entries"]
        .as_array()
        .context("the view is no list of entries")?;
    let mut arguments = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let at = entry["at"].as_str().context("an entry of the view has no path")?;
        arguments.extend(from_entry(
            at,
            &entry["what"],
            workspace,
            &files.join(number.to_string()),
        )?);
    }
    Ok(arguments)
}

fn from_entry(at: &str, what: &Value, workspace: &Path, file: &Path) -> Result<Vec<String>> {
    let words = |list: &[&str]| {
        list.iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<String>>()
    };
    let (kind, body) = match what {
        Value::String(kind) => (kind.as_str(), &Value::Null),
        Value::Object(map) => {
            let (kind, body) = map.iter().next().context("an entry of the view says nothing")?;
            (kind.as_str(), body)
        }
        _ => bail!("an entry of the view is neither a word nor a table: {what}"),
    };
    let text = |key: &str| {
        body[key]
            .as_str()
            .with_context(|| format!("{kind} at {at} has no {key}"))
    };
    Ok(match kind {
        "host" if text("access")? == "read-write" => words(&["--bind", text("source")?, at]),
        "host" => words(&["--ro-bind", text("source")?, at]),
        "cache" => words(&["--ro-bind", text("source")?, at]),
        "private" => {
            let mode = body["mode"].as_u64().context("a private directory has a mode")?;
            words(&["--perms", &format!("{mode:o}"), "--tmpfs", at])
        }
        "file" => {
            let content: Vec<u8> =
                serde_json::from_value(body["content"].clone()).context("content of a file")?;
            std::fs::write(file, content)?;
            words(&["--ro-bind", &file.display().to_string(), at])
        }
        "symlink" => words(&["--symlink", text("target")?, at]),
        "proc" => words(&["--proc", at]),
        "devices" => words(&["--dev", at]),
        "workspace" => words(&["--bind", &workspace.display().to_string(), at]),
        other => bail!("bench does not know how bubblewrap shows {other} ({at}): add it to peers.rs"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_entry_has_its_arguments() {
        let place = tempfile::tempdir().unwrap();
        let plan = json!({ "plan": { "spec": { "view": { "entries": [
            { "at": "/usr", "what": { "host": { "source": "/usr", "directory": true, "access": "read-only" } } },
            { "at": "/srv", "what": { "host": { "source": "/data", "directory": true, "access": "read-write" } } },
            { "at": "/c", "what": { "cache": { "source": "/home/c" } } },
            { "at": "/bin", "what": { "symlink": { "target": "usr/bin" } } },
            { "at": "/tmp", "what": { "private": { "mode": 0o1777, "size_bytes": null } } },
            { "at": "/etc/hosts", "what": { "file": { "content": [97, 10] } } },
            { "at": "/proc", "what": "proc" },
            { "at": "/dev", "what": "devices" },
            { "at": "/work", "what": "workspace" },
        ] } } } });
        let view = find(&plan, "view").unwrap();
        let arguments = from_view(view, Path::new("/ws"), place.path()).unwrap().join(" ");
        let file = place.path().join("5");
        let expected = format!(
            "--ro-bind /usr /usr --bind /data /srv --ro-bind /home/c /c --symlink usr/bin /bin --perms 1777 --tmpfs /tmp \
             --ro-bind {} /etc/hosts --proc /proc --dev /dev --bind /ws /work",
            file.display()
        );
        assert_eq!(arguments, expected);
        assert_eq!(std::fs::read(file).unwrap(), b"a\n");
    }

    #[test]
    fn an_unknown_kind_is_an_error() {
        let view = json!({ "entries": [{ "at": "/x", "what": "teleport" }] });
        assert!(from_view(&view, Path::new("/ws"), Path::new("/nowhere")).is_err());
    }
}
