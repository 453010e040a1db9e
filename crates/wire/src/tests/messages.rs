//! Strategies that make any valid message.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::*;

fn exec() -> impl Strategy<Value = ExecId> {
    any::<u32>().prop_map(ExecId)
}

fn stream() -> impl Strategy<Value = Stream> {
    prop_oneof![Just(Stream::Stdin), Just(Stream::Stdout), Just(Stream::Stderr)]
}

fn strings() -> impl Strategy<Value = ByteStrings> {
    vec(vec(1..=255_u8, 0..40), 0..20).prop_map(|strings| ByteStrings::new(strings).unwrap())
}

fn path() -> impl Strategy<Value = GuestPath> {
    vec(1..=255_u8, 0..200).prop_map(|mut path| {
        path.insert(0, b'/');
        GuestPath::new(path).unwrap()
    })
}

fn window() -> impl Strategy<Value = WindowSize> {
    any::<[u16; 4]>().prop_map(|[rows, columns, x_pixels, y_pixels]| WindowSize {
        rows,
        columns,
        x_pixels,
        y_pixels,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<u32>(), any::<u64>(), any::<[u8; 16]>()).prop_map(|(version, generation, nonce)| Hello {
        version,
        generation,
        nonce,
    })
}

fn data() -> impl Strategy<Value = Data> {
    (exec(), stream(), any::<u64>(), vec(any::<u8>(), 1..300)).prop_map(|(exec, stream, offset, bytes)| {
        Data {
            exec,
            stream,
            offset,
            bytes,
        }
    })
}

fn point() -> impl Strategy<Value = (ExecId, Stream, u64)> {
    (exec(), stream(), any::<u64>())
}

fn resume() -> impl Strategy<Value = Resume> {
    (point(), any::<u64>()).prop_map(|((exec, stream, next_offset), consumed_offset)| Resume {
        exec,
        stream,
        next_offset,
        consumed_offset,
    })
}

fn operation() -> impl Strategy<Value = FileOperation> {
    let bytes = || vec(any::<u8>(), 0..300);
    prop_oneof![
        any::<bool>().prop_map(|follow| FileOperation::Stat { follow }),
        (any::<u64>(), any::<u32>()).prop_map(|(offset, length)| FileOperation::Read { offset, length }),
        (any::<u64>(), bytes(), option::of(any::<u32>()), any::<bool>()).prop_map(
            |(offset, bytes, create, truncate)| FileOperation::Write {
                offset,
                bytes,
                create,
                truncate
            }
        ),
        bytes().prop_map(|after| FileOperation::List { after }),
        any::<bool>().prop_map(|recursive| FileOperation::Remove { recursive }),
        (any::<u32>(), any::<bool>()).prop_map(|(mode, parents)| FileOperation::MakeDir { mode, parents }),
        vec(1..=255_u8, 1..100).prop_map(|target| FileOperation::MakeLink { target }),
        path().prop_map(|to| FileOperation::Rename { to }),
        any::<u32>().prop_map(|mode| FileOperation::SetMode { mode }),
        vec(plant(), 0..10).prop_map(|nodes| FileOperation::Plant { nodes }),
        (option::of(any::<u64>()), any::<bool>())
            .prop_map(|(since, still)| FileOperation::Survey { since, still }),
        (any::<u64>(), any::<u32>()).prop_map(|(generation, from)| FileOperation::Nodes { generation, from }),
        (
            vec((tree_path(), any::<u64>()), 0..limits::MAX_WANTS),
            any::<bool>()
        )
            .prop_map(|(wants, still)| {
                let wants = wants.into_iter().map(|(path, offset)| TreeWant { path, offset });
                FileOperation::Fetch {
                    wants: wants.collect(),
                    still,
                }
            }),
    ]
}

fn tree_path() -> impl Strategy<Value = TreePath> {
    let name = vec(1..=255_u8, 1..30).prop_map(|mut name| {
        name.iter_mut()
            .filter(|byte| matches!(byte, b'/' | b'.'))
            .for_each(|byte| *byte = b'_');
        name
    });
    vec(name, 1..5).prop_map(|names| TreePath::new(names.join(&b'/')).unwrap())
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let one = (vec(b'a'..=b'z', 1..30), vec(any::<u8>(), 0..30));
    vec(one.prop_map(|(name, value)| Attribute { name, value }), 0..4)
}

fn time() -> impl Strategy<Value = (i64, u32)> {
    (any::<i64>(), any::<u32>())
}

fn plant() -> impl Strategy<Value = PlantNode> {
    let bytes = (
        any::<bool>(),
        any::<u64>(),
        vec(any::<u8>(), 0..300),
        option::of(any::<u64>()),
    );
    let what = prop_oneof![
        Just(Plant::Directory),
        Just(Plant::Close),
        vec(1..=255_u8, 1..100).prop_map(Plant::Target),
        bytes.prop_map(|(first, at, bytes, size)| Plant::Bytes {
            first,
            at,
            bytes,
            size
        }),
    ];
    (tree_path(), any::<u32>(), time(), attributes(), what).prop_map(
        |(path, mode, modified, attributes, what)| PlantNode {
            path,
            mode,
            modified,
            attributes,
            what,
        },
    )
}

fn tree_stat() -> impl Strategy<Value = TreeStat> {
    let kind = prop_oneof![
        Just(FileKind::Regular),
        Just(FileKind::Directory),
        Just(FileKind::Fifo)
    ];
    (kind, any::<u32>(), any::<[u64; 3]>(), time(), time()).prop_map(
        |(kind, mode, [inode, links, size], changed, modified)| TreeStat {
            mark: TreeMark {
                inode,
                changed,
                mode,
                kind,
            },
            links,
            size,
            modified,
        },
    )
}

fn tree_node() -> impl Strategy<Value = TreeNode> {
    prop_oneof![
        (tree_path(), tree_stat(), any::<bool>()).prop_map(|(path, stat, recent)| TreeNode::Now {
            path,
            stat,
            recent
        }),
        tree_path().prop_map(|path| TreeNode::Gone { path }),
        (tree_path(), any::<i32>()).prop_map(|(path, errno)| TreeNode::Unread { path, errno }),
    ]
}

fn tree_result() -> impl Strategy<Value = TreeResult> {
    let bytes = (any::<u64>(), vec(any::<u8>(), 0..300), any::<bool>());
    let content = prop_oneof![
        bytes.prop_map(|(at, bytes, last)| TreeContent::Bytes { at, bytes, last }),
        vec(1..=255_u8, 1..100).prop_map(TreeContent::Target),
        Just(TreeContent::Nothing),
    ];
    let part = (tree_stat(), attributes(), content).prop_map(|(stat, attributes, content)| TreePart {
        stat,
        attributes,
        content,
    });
    prop_oneof![part.prop_map(Ok), any::<i32>().prop_map(Err)]
}

fn stat() -> impl Strategy<Value = FileStat> {
    let kind = prop_oneof![
        Just(FileKind::Regular),
        Just(FileKind::Symlink),
        Just(FileKind::Unknown)
    ];
    (
        kind,
        any::<[u32; 3]>(),
        any::<[u64; 3]>(),
        any::<i64>(),
        0..1_000_000_000_u32,
        vec(any::<u8>(), 0..50),
    )
        .prop_map(
            |(kind, [mode, uid, gid], [size, device, inode], seconds, nanoseconds, target)| FileStat {
                kind,
                mode,
                uid,
                gid,
                size,
                identity: (device, inode),
                modified: (seconds, nanoseconds),
                target,
            },
        )
}

fn result() -> impl Strategy<Value = FileResult> {
    let entry = vec(b'a'..=b'z', 1..30).prop_map(|name| DirectoryEntry {
        name,
        kind: FileKind::Directory,
    });
    prop_oneof![
        Just(Ok(FileAnswer::Done)),
        stat().prop_map(|stat| Ok(FileAnswer::Stat(stat))),
        (vec(any::<u8>(), 0..300), stat()).prop_map(|(bytes, stat)| Ok(FileAnswer::Chunk { bytes, stat })),
        (vec(entry, 0..limits::MAX_ENTRIES), any::<bool>())
            .prop_map(|(entries, more)| Ok(FileAnswer::Entries { entries, more })),
        (any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(generation, count, whole)| Ok(
            FileAnswer::Surveyed {
                generation,
                count,
                whole
            }
        )),
        vec(tree_node(), 0..20).prop_map(|nodes| Ok(FileAnswer::Nodes(nodes))),
        vec(tree_result(), 0..20).prop_map(|parts| Ok(FileAnswer::Parts(parts))),
        (any::<i32>(), ".{0,100}").prop_map(|(errno, text)| Err(FileError { errno, text })),
    ]
}

fn name() -> impl Strategy<Value = Option<String>> {
    option::of("[a-zé.-]{1,20}")
}

/// Anything that a command may ask for.
pub fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        name().prop_map(|name| Asked::Checkpoint { name }),
        Just(Asked::List)
    ]
}

/// Any answer.
pub fn answer() -> impl Strategy<Value = Answer> {
    let one = || {
        (any::<u64>(), name(), any::<u64>()).prop_map(|(number, name, age_s)| AskedCheckpoint {
            number,
            name,
            age_s,
        })
    };
    prop_oneof![
        one().prop_map(Answer::Taken),
        vec(one(), 0..=MAX_LISTED).prop_map(Answer::Listed),
        ".{0,100}".prop_map(Answer::Refused),
    ]
}

/// Any valid message of the host.
pub fn to_guest() -> impl Strategy<Value = ToGuest> {
    let request = (
        exec(),
        strings(),
        strings(),
        path(),
        option::of(window()),
        any::<bool>(),
    )
        .prop_map(|(id, argv, env, cwd, tty, stdin)| {
            ToGuest::Exec(ExecRequest {
                id,
                argv,
                env,
                cwd,
                tty,
                stdin,
            })
        });
    prop_oneof![
        hello().prop_map(ToGuest::Hello),
        data().prop_map(ToGuest::Data),
        point().prop_map(|(exec, stream, offset)| ToGuest::Eof(Eof { exec, stream, offset })),
        point().prop_map(|(exec, stream, offset)| ToGuest::Ack(Ack { exec, stream, offset })),
        resume().prop_map(ToGuest::Resume),
        request,
        (exec(), window()).prop_map(|(exec, size)| ToGuest::Resize { exec, size }),
        (exec(), 1..=64_u8, any::<bool>()).prop_map(|(exec, number, whole_group)| ToGuest::Signal {
            exec,
            number,
            whole_group
        }),
        exec().prop_map(|exec| ToGuest::Forget { exec }),
        (any::<u32>(), path(), operation()).prop_map(|(id, path, operation)| ToGuest::File(FileRequest {
            id: RequestId(id),
            path,
            operation
        })),
        any::<u32>().prop_map(|grace_ms| ToGuest::Shutdown { grace_ms }),
        any::<u32>().prop_map(|grace_ms| ToGuest::Quiet { grace_ms }),
        (any::<u32>(), answer()).prop_map(|(ask, answer)| ToGuest::Answer {
            ask: AskId(ask),
            answer
        }),
    ]
}

/// Any valid message of the guest.
pub fn to_host() -> impl Strategy<Value = ToHost> {
    let kind = prop_oneof![
        Just(FailureKind::NotFound),
        Just(FailureKind::Refused),
        Just(FailureKind::Other)
    ];
    let status = prop_oneof![
        any::<u8>().prop_map(ExitStatus::Code),
        (1..=64_u8).prop_map(ExitStatus::Signal)
    ];
    prop_oneof![
        hello().prop_map(ToHost::Hello),
        any::<bool>().prop_map(|all| ToHost::Quiet { all }),
        (any::<u32>(), asked()).prop_map(|(id, what)| ToHost::Ask(Ask { id: AskId(id), what })),
        data().prop_map(ToHost::Data),
        point().prop_map(|(exec, stream, offset)| ToHost::Eof(Eof { exec, stream, offset })),
        point().prop_map(|(exec, stream, offset)| ToHost::Ack(Ack { exec, stream, offset })),
        resume().prop_map(ToHost::Resume),
        (exec(), any::<u32>()).prop_map(|(exec, pid)| ToHost::Started { exec, pid }),
        (exec(), kind, any::<i32>(), ".{0,100}").prop_map(|(exec, kind, errno, text)| ToHost::ExecFailed(
            ExecFailure {
                exec,
                kind,
                errno,
                text
            }
        )),
        exec().prop_map(|exec| ToHost::InputClosed { exec }),
        (exec(), 1..=64_u8).prop_map(|(exec, signal)| ToHost::Stopped { exec, signal }),
        exec().prop_map(|exec| ToHost::Continued { exec }),
        (exec(), status).prop_map(|(exec, status)| ToHost::Exited { exec, status }),
        (any::<u32>(), result()).prop_map(|(id, result)| ToHost::File(FileReply {
            id: RequestId(id),
            result
        })),
    ]
}
