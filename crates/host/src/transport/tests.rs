//! A transport against a guest that tells what a test wants it to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use stockade_wire::{
    Decoder, FileAnswer, FileError, FileKind, FileOperation, FileReply, FileResult, Hello, ToGuest, ToHost,
    TreeContent, TreeMark, TreeNode, TreePart, TreePath, TreeStat, encode,
};
use stockade_workspace::replica::{COPY, CopyLimits, LIST, Order, make};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;

/// What a guest does with a request; none for what a good one does.
type Lie = Box<dyn FnMut(&FileOperation) -> Option<FileResult> + Send>;

/// A node as the guest tells of it.
#[derive(Clone, Debug)]
struct Told {
    stat: TreeStat,
    content: TreeContent,
}

/// What is inside, and how much was said of it.
#[derive(Default)]
struct Inside {
    nodes: BTreeMap<TreePath, Told>,
    changed: i64,
    lie: Option<Lie>,
    /// What every look tells, in place of what is there.
    script: Option<Vec<TreeNode>>,
    fetched: u64,
    generation: u64,
    looked: BTreeMap<u64, BTreeMap<TreePath, TreeMark>>,
    told: Vec<TreeNode>,
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

impl Inside {
    fn put(&mut self, name: &str, kind: FileKind, content: TreeContent) {
        self.changed += 1;
        let size = match &content {
            TreeContent::Bytes { bytes, .. } => bytes.len() as u64,
            _ => 0,
        };
        let stat = TreeStat {
            mark: TreeMark {
                inode: self.changed.unsigned_abs(),
                changed: (self.changed, 0),
                mode: if kind == FileKind::Directory { 0o755 } else { 0o644 },
                kind,
            },
            links: 1,
            size,
            modified: (self.changed, 0),
        };
        self.nodes.insert(path(name), Told { stat, content });
    }

    fn file(&mut self, name: &str, text: &str) {
        let (at, bytes, last) = (0, text.as_bytes().to_vec(), true);
        self.put(name, FileKind::Regular, TreeContent::Bytes { at, bytes, last });
    }

    fn directory(&mut self, name: &str) {
        self.put(name, FileKind::Directory, TreeContent::Nothing);
    }

    fn answer(&mut self, operation: &FileOperation) -> FileResult {
        if let Some(lie) = &mut self.lie
            && let Some(result) = lie(operation)
        {
            return result;
        }
        match operation {
            FileOperation::Plant { .. } => Ok(FileAnswer::Done),
            FileOperation::Survey { since, .. } => Ok(self.survey(*since)),
            FileOperation::Nodes { from, .. } => {
                let rest = self.told.iter().skip(*from as usize).take(7);
                Ok(FileAnswer::Nodes(rest.cloned().collect()))
            }
            FileOperation::Fetch { wants, .. } => {
                self.fetched += wants.len() as u64;
                let part = |want: &stockade_wire::TreeWant| match self.nodes.get(&want.path) {
                    Some(told) => Ok(TreePart {
                        stat: told.stat,
                        attributes: Vec::new(),
                        content: told.content.clone(),
                    }),
                    None => Err(libc::ENOENT),
                };
                Ok(FileAnswer::Parts(wants.iter().map(part).collect()))
            }
            _ => Err(FileError {
                errno: libc::ENOSYS,
                text: "not here".into(),
            }),
        }
    }

    fn survey(&mut self, since: Option<u64>) -> FileAnswer {
        let marks: BTreeMap<TreePath, TreeMark> = self
            .nodes
            .iter()
            .map(|(path, told)| (path.clone(), told.stat.mark))
            .collect();
        let before = since.and_then(|since| self.looked.get(&since));
        let now = self
            .nodes
            .iter()
            .filter(|(path, told)| before.is_none_or(|before| before.get(*path) != Some(&told.stat.mark)));
        let mut told: Vec<TreeNode> = now
            .map(|(path, told)| TreeNode::Now {
                path: path.clone(),
                stat: told.stat,
                recent: false,
            })
            .collect();
        for path in before.into_iter().flatten().map(|(path, _)| path) {
            if !marks.contains_key(path) {
                told.push(TreeNode::Gone { path: path.clone() });
            }
        }
        let whole = before.is_none();
        self.told = self.script.clone().unwrap_or(told);
        self.generation += 1;
        self.looked.insert(self.generation, marks);
        FileAnswer::Surveyed {
            generation: self.generation,
            count: u32::try_from(self.told.len()).unwrap(),
            whole,
        }
    }
}

async fn serve(mut stream: UnixStream, inside: Arc<Mutex<Inside>>) {
    let mut decoder = Decoder::<ToGuest>::new();
    let mut buffer = vec![0; 64 << 10];
    let mut out = Vec::new();
    encode(&ToHost::Hello(Hello::new(0, [7; 16])), &mut out).unwrap();
    loop {
        if stream.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
        let Ok(count @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        let mut input = &buffer[..count];
        while let Some(message) = decoder.next(&mut input).unwrap() {
            if let ToGuest::File(request) = message {
                let result = inside.lock().unwrap().answer(&request.operation);
                let id = request.id;
                encode(&ToHost::File(FileReply { id, result }), &mut out).unwrap();
            }
        }
    }
}

/// A project with `a`, `d/b` and `d/c`, its copy, and a guest that has them.
struct Rig {
    place: tempfile::TempDir,
    inside: Arc<Mutex<Inside>>,
    transport: Transport,
}

impl Rig {
    async fn new() -> Self {
        Self::bounded(Bounds::default()).await
    }

    async fn bounded(bounds: Bounds) -> Self {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for name in ["project/d", "changes", "trash"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("canary"), "canary").unwrap();
        let mut inside = Inside::default();
        inside.directory("d");
        for name in ["a", "d/b", "d/c"] {
            std::fs::write(at("project").join(name), name).unwrap();
            inside.file(name, name);
        }
        let order = Order {
            source: at("project"),
            copy: at("changes").join(COPY),
            upper: None,
            list: at("changes").join(LIST),
            owner: None,
            hidden: Vec::new(),
            limits: CopyLimits::default(),
        };
        make(&order, &|| false).unwrap();
        let inside = Arc::new(Mutex::new(inside));
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(serve(theirs, Arc::clone(&inside)));
        let session = Arc::new(Session::connect(Box::new(ours), 0));
        let carried = Carried {
            inside: "/work".into(),
            room: None,
        };
        let transport = Transport::new(session, &carried, &at("changes"), at("trash"), bounds);
        transport.send().await.unwrap();
        Self {
            place,
            inside,
            transport,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.inside.lock().unwrap());
    }

    fn copy(&self) -> PathBuf {
        self.place.path().join("changes").join(COPY)
    }

    fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.copy().join(name)).ok()
    }

    async fn fetched(&self) -> Fetched {
        self.transport.fetch(false).await.unwrap()
    }

    async fn refused(&self) -> String {
        let refused = self.transport.fetch(false).await.unwrap_err().to_string();
        let names = |at: &Path| std::fs::read_dir(at).unwrap().count();
        assert_eq!((names(&self.copy()), self.text("a").as_deref()), (2, Some("a")));
        refused
    }

    /// Nothing outside of the copy was touched, and there is nothing new beside it.
    fn is_unharmed(&self) {
        let canary = std::fs::read_to_string(self.place.path().join("canary")).unwrap();
        assert_eq!(canary, "canary");
        let mut names: Vec<_> = std::fs::read_dir(self.place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["canary", "changes", "project", "trash"]);
    }
}

#[tokio::test]
async fn only_what_changed_is_fetched() {
    let rig = Rig::new().await;
    assert_eq!(rig.fetched().await, Fetched::default());
    rig.change(|inside| {
        inside.file("a", "other");
        inside.file("d/new", "new");
        inside.nodes.remove(&path("d/b"));
    });
    let fetched = rig.fetched().await;
    assert_eq!((fetched.told, fetched.nodes, fetched.bytes), (3, 2, 8));
    assert_eq!(rig.text("a").as_deref(), Some("other"));
    assert_eq!(
        (rig.text("d/b"), rig.text("d/new").as_deref()),
        (None, Some("new"))
    );
    assert_eq!(rig.fetched().await, Fetched::default());
    assert_eq!(rig.inside.lock().unwrap().fetched, 2);
}

#[tokio::test]
async fn a_guest_that_has_forgotten_tells_all_and_only_what_changed_is_fetched() {
    let rig = Rig::new().await;
    rig.change(|inside| {
        inside.looked.clear();
        inside.file("a", "other");
        inside.nodes.retain(|at, _| !at.as_bytes().starts_with(b"d"));
    });
    let fetched = rig.fetched().await;
    assert_eq!((fetched.nodes, fetched.missing), (1, Missing::default()));
    assert_eq!((rig.text("a").as_deref(), rig.text("d/b")), (Some("other"), None));
    assert!(!rig.copy().join("d").exists());
}

#[tokio::test]
async fn a_link_that_is_told_first_leads_nothing_out() {
    let rig = Rig::new().await;
    let outside = rig.place.path().as_os_str().as_encoded_bytes().to_vec();
    rig.change(|inside| {
        inside.put("d", FileKind::Symlink, TreeContent::Target(outside));
        inside.file("d/canary", "overwritten");
        inside.file("d/planted", "planted");
        inside.directory("d/changes");
    });
    let fetched = rig.fetched().await;
    assert_eq!(fetched.missing.count, 4, "{:?}", fetched.missing);
    assert!(rig.copy().join("d").is_symlink());
    rig.is_unharmed();
    // Nor does what goes.
    rig.change(|inside| {
        inside.script = Some(vec![
            TreeNode::Gone {
                path: path("d/canary"),
            },
            TreeNode::Gone {
                path: path("d/changes"),
            },
        ]);
    });
    rig.fetched().await;
    rig.is_unharmed();
}

#[test]
fn names_that_lead_elsewhere_are_no_paths() {
    for text in [
        "", "/", "/etc", "..", "a/..", "a/../b", "./a", "a//b", "a/", "a\0b",
    ] {
        assert!(TreePath::new(text).is_err(), "{text:?}");
    }
    assert!(TreePath::new(vec![b'a'; 256]).is_err());
    assert!(TreePath::new("a/".repeat(3000) + "a").is_err());
    // The control.
    assert!(TreePath::new("a/..b/...").is_ok());
}

#[tokio::test]
async fn devices_are_not_made_and_set_id_bits_are_not_roots() {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let rig = Rig::new().await;
    rig.change(|inside| {
        inside.put("a", FileKind::CharDevice, TreeContent::Nothing);
        inside.put("fifo", FileKind::Fifo, TreeContent::Nothing);
        inside.file("setuid", "x");
        inside.nodes.get_mut(&path("setuid")).unwrap().stat.mark.mode = 0o6755;
    });
    let fetched = rig.fetched().await;
    assert_eq!(fetched.missing.count, 1);
    assert!(
        fetched
            .missing
            .error()
            .unwrap()
            .to_string()
            .contains("a: it is a device")
    );
    assert!(!rig.copy().join("a").exists());
    let meta = |name: &str| std::fs::symlink_metadata(rig.copy().join(name)).unwrap();
    assert!(meta("fifo").file_type().is_fifo());
    let expected = if rustix::process::geteuid().is_root() {
        0o755
    } else {
        0o6755
    };
    assert_eq!(meta("setuid").mode() & 0o7777, expected);
}

#[tokio::test]
async fn a_bound_leaves_out_what_is_beyond_it_and_says_so() {
    let rig = Rig::bounded(Bounds { bytes: 40 << 10 }).await;
    rig.change(|inside| {
        inside.file("a", "small");
        inside.file("z-large", &"x".repeat(41 << 10));
    });
    let missing = rig.fetched().await.missing;
    let told = missing.error().unwrap().to_string();
    assert!(told.contains("z-large: more than 40960 bytes"), "{told}");
    assert_eq!(
        (rig.text("a").as_deref(), rig.text("z-large")),
        (Some("small"), None)
    );
}

#[tokio::test]
async fn many_small_writes_far_apart_cost_what_they_take() {
    let rig = Rig::bounded(Bounds { bytes: 1 << 20 }).await;
    rig.change(|inside| {
        inside.file("sparse", "");
        inside.nodes.get_mut(&path("sparse")).unwrap().stat.size = 1 << 40;
        let stat = inside.nodes[&path("sparse")].stat;
        inside.lie = Some(Box::new(move |operation| match operation {
            FileOperation::Fetch { wants, .. } => {
                let part = |want: &stockade_wire::TreeWant| {
                    let (at, bytes, last) = (want.offset.next_multiple_of(4096), vec![1], false);
                    let content = TreeContent::Bytes { at, bytes, last };
                    Ok(TreePart {
                        stat,
                        attributes: Vec::new(),
                        content,
                    })
                };
                Some(Ok(FileAnswer::Parts(wants.iter().map(part).collect())))
            }
            _ => None,
        }));
    });
    let fetched = rig.fetched().await;
    assert!(
        fetched
            .missing
            .error()
            .unwrap()
            .to_string()
            .contains("sparse: more than")
    );
    assert!(fetched.bytes < 1 << 10, "{}", fetched.bytes);
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_read_is_cut_and_fetched_again() {
    let rig = Rig::new().await;
    rig.change(|inside| {
        inside.file("a", "four");
        let mut stat = inside.nodes[&path("a")].stat;
        let mut grown = 0;
        inside.lie = Some(Box::new(move |operation| match operation {
            FileOperation::Fetch { wants, .. } if wants.len() == 1 && grown < 3 => {
                grown += 1;
                stat.mark.changed.0 += 1;
                stat.size += if grown == 1 { 0 } else { 1000 };
                let (at, bytes, last) = (wants[0].offset, b"xxx".to_vec(), false);
                let content = TreeContent::Bytes { at, bytes, last };
                Some(Ok(FileAnswer::Parts(vec![Ok(TreePart {
                    stat,
                    attributes: Vec::new(),
                    content,
                })])))
            }
            _ => None,
        }));
    });
    rig.fetched().await;
    assert_eq!(rig.text("a").as_deref(), Some("xxxx"));
    rig.change(|inside| inside.lie = None);
    rig.fetched().await;
    assert_eq!(rig.text("a").as_deref(), Some("four"));
}

/// A guest that answers one kind of request like this.
async fn lied(lie: impl FnMut(&FileOperation) -> Option<FileResult> + Send + 'static) -> String {
    let rig = Rig::new().await;
    rig.change(|inside| {
        inside.file("a", "other");
        inside.lie = Some(Box::new(lie));
    });
    let refused = rig.refused().await;
    rig.is_unharmed();
    refused
}

#[tokio::test]
async fn a_guest_that_breaks_the_order_changes_nothing() {
    let surveyed = |count, whole| {
        Some(Ok(FileAnswer::Surveyed {
            generation: 9,
            count,
            whole,
        }))
    };
    let broken = "broke the protocol";
    let many =
        lied(move |op| matches!(op, FileOperation::Survey { .. }).then(|| surveyed(u32::MAX, true))?).await;
    assert!(many.contains(broken) && many.contains("names"), "{many}");
    let few = lied(move |op| match op {
        FileOperation::Survey { .. } => surveyed(5, true),
        FileOperation::Nodes { .. } => Some(Ok(FileAnswer::Nodes(Vec::new()))),
        _ => None,
    })
    .await;
    assert!(few.contains("fewer names"), "{few}");
    let other = lied(|op| matches!(op, FileOperation::Survey { .. }).then_some(Ok(FileAnswer::Done))).await;
    assert!(other.contains("answered with done"), "{other}");
    for count in [0, 9] {
        let parts = lied(move |op| {
            let parts = vec![Err(libc::EIO); count];
            matches!(op, FileOperation::Fetch { .. }).then(|| Ok(FileAnswer::Parts(parts)))
        })
        .await;
        assert!(parts.contains("more or less"), "{parts}");
    }
    let gone = lied(|op| {
        matches!(op, FileOperation::Fetch { .. }).then(|| {
            Err(FileError {
                errno: 5,
                text: "gone".into(),
            })
        })
    })
    .await;
    assert!(
        gone.contains("could not be fetched: /work in the sandbox: gone"),
        "{gone}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_stays_as_it_was_and_is_asked_for_again() {
    let rig = Rig::new().await;
    rig.change(|inside| {
        inside.file("a", "other");
        inside.lie = Some(Box::new(|op| {
            matches!(op, FileOperation::Fetch { .. }).then(|| Ok(FileAnswer::Parts(vec![Err(libc::EACCES)])))
        }));
    });
    let told = rig.fetched().await.missing.error().unwrap().to_string();
    assert!(
        told.starts_with("what was changed inside could not be fetched") && told.contains("a: Perm"),
        "{told}"
    );
    assert_eq!(rig.text("a").as_deref(), Some("a"));
    rig.change(|inside| inside.lie = None);
    assert_eq!(rig.fetched().await.nodes, 1);
    assert_eq!(rig.text("a").as_deref(), Some("other"));
}
