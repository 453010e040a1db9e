//! Change sets as text.

use stockade_domain::units::ByteCount;
use stockade_host::state::{Found, PENDING};
use stockade_host::workspace::{Change, ChangeKind, Counts, NodeKind};

use super::Shown;

/// How much changed, in a clause: `4 files changed`.
pub fn counts_line(counts: &Counts) -> String {
    let plural = |count: u64, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    match (counts.files(), counts.directories) {
        (0, directories) => format!("{} changed", plural(directories, "directory", "directories")),
        (files, _) => format!("{} changed", plural(files, "file", "files")),
    }
}

/// What a sandbox finds in its workspace instead of no changes.
pub fn found_line(found: &Found) -> String {
    match found {
        Found::Unapplied { set, counts } => {
            let count = match counts {
                // Files, as the line after a run counts; directories where there are only those.
                Some(counts) => match Some(counts.files())
                    .filter(|files| *files > 0)
                    .unwrap_or(counts.directories)
                {
                    1 => "1 unapplied change".to_owned(),
                    count => format!("{count} unapplied changes"),
                },
                None => "unapplied changes".to_owned(),
            };
            let of = if set == PENDING {
                String::new()
            } else {
                format!(" of {set}")
            };
            format!("continuing {count}{of} (--fresh to start clean)")
        }
        Found::SetAside { kept_as } => {
            format!(
                "starting clean; the former changes are kept as {kept_as} (--changes {kept_as} goes on with them)"
            )
        }
        Found::InUse { by, own } => {
            let by = by.as_deref().unwrap_or("another sandbox");
            format!(
                "{by} uses the project's pending changes; this run does not see them and keeps its own as {own}"
            )
        }
    }
}

/// One line a change: `A src/new.rs (12 KiB)`.
pub fn change_line(change: &Change) -> String {
    let mark = match change.kind {
        ChangeKind::Added => 'A',
        ChangeKind::Changed => 'M',
        ChangeKind::Deleted => 'D',
        ChangeKind::Replaced => 'R',
    };
    let path = Shown(change.path.as_os_str());
    match change.node() {
        NodeKind::Directory => format!("{mark} {path}/"),
        NodeKind::Symlink => format!("{mark} {path} (link)"),
        NodeKind::Special => format!("{mark} {path} (special)"),
        NodeKind::File if change.kind != ChangeKind::Deleted => {
            format!("{mark} {path} ({})", ByteCount(change.bytes()))
        }
        NodeKind::File | NodeKind::Unknown => format!("{mark} {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_host::workspace::{Content, Entry};

    fn entry(node: NodeKind) -> Option<Entry> {
        Some(Entry {
            node,
            mode: 0o644,
            bytes: 2048,
            links: 1,
            stamp: Default::default(),
        })
    }

    fn line(before: Option<Entry>, after: Option<Entry>, path: &str) -> String {
        change_line(&Change::new(path.into(), before, after, Content::Differs))
    }

    #[test]
    fn each_kind_has_its_mark() {
        assert_eq!(line(None, entry(NodeKind::File), "a"), "A a (2 KiB)");
        assert_eq!(line(entry(NodeKind::File), None, "a"), "D a");
        let (file, directory) = (entry(NodeKind::File), entry(NodeKind::Directory));
        assert_eq!(line(file, directory, "d"), "R d/");
    }

    #[test]
    fn names_cannot_forge_lines() {
        assert_eq!(
            line(entry(NodeKind::File), None, "a\nD b\x1b[2J"),
            "D a\\nD b\\u{1b}[2J"
        );
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(
            counts_line(&Counts {
                added: 1,
                ..Counts::default()
            }),
            "1 file changed"
        );
        assert_eq!(
            counts_line(&Counts {
                directories: 2,
                ..Counts::default()
            }),
            "2 directories changed"
        );
    }
}
