//! Streams of the first command.

use std::os::fd::OwnedFd;

use stockade_domain::Exit;
use stockade_host::shim::{Options, RunEvent};

use crate::rig::{Rig, block_on, command, pipes, sh, source};

crate::tests![
    output_and_errors_arrive_apart,
    much_output_arrives_whole,
    much_input_arrives_whole,
    input_from_a_file_arrives,
    input_from_a_socket_arrives,
    without_input_it_is_at_its_end,
    input_that_nobody_reads_does_not_hold_up_the_end,
    a_command_that_does_not_start_leaves_the_input,
    the_launchers_descriptions_stay_as_they_were,
    a_terminal_echoes_and_has_a_size,
    stops_and_continues_are_told,
    files_go_in_and_out_before_the_command_runs,
];

fn output_and_errors_arrive_apart() {
    block_on(async {
        let (outcome, said) = Rig::new().run("echo out; echo err >&2").await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(0));
        assert_eq!(
            (said.out(), said.stderr.as_slice()),
            ("out\n", b"err\n".as_slice())
        );
    });
}

fn much_output_arrives_whole() {
    block_on(async {
        let (outcome, said) = Rig::new().run("seq 1 2000000").await;
        let outcome = outcome.unwrap();
        let expected: String = (1..=2_000_000).map(|number| format!("{number}\n")).collect();
        assert!(said.stdout == expected.as_bytes());
        assert_eq!(outcome.output_bytes, expected.len() as u64);
    });
}

fn much_input_arrives_whole() {
    block_on(async {
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let stdin = source(bytes.clone());
        let (outcome, said) = Rig::new()
            .run_with(Options::default(), command(&["cat"]), Some(stdin))
            .await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(0));
        assert!(said.stdout == bytes);
    });
}

fn input_from_a_file_arrives() {
    block_on(async {
        let rig = Rig::new();
        let path = rig.place.path().join("input");
        std::fs::write(&path, vec![b'x'; 3_000_000]).unwrap();
        let stdin = OwnedFd::from(std::fs::File::open(path).unwrap());
        let (_, said) = rig.run_with(Options::default(), sh("wc -c"), Some(stdin)).await;
        assert_eq!(said.out().trim(), "3000000");
    });
}

fn input_from_a_socket_arrives() {
    block_on(async {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut &ours, b"hello").unwrap();
        drop(ours);
        let (_, said) = Rig::new()
            .run_with(Options::default(), command(&["cat"]), Some(theirs.into()))
            .await;
        assert_eq!(said.out(), "hello");
    });
}

fn without_input_it_is_at_its_end() {
    block_on(async {
        let mut command = command(&["cat"]);
        command.stdin = false;
        let (outcome, said) = Rig::new().run_with(Options::default(), command, None).await;
        assert_eq!((outcome.unwrap().exit, said.out()), (Exit::Code(0), ""));
    });
}

fn input_that_nobody_reads_does_not_hold_up_the_end() {
    block_on(async {
        let (reader, _writer) = std::io::pipe().unwrap();
        let (outcome, _) = Rig::new()
            .run_with(Options::default(), sh("exit 4"), Some(reader.into()))
            .await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(4));
    });
}

fn a_command_that_does_not_start_leaves_the_input() {
    block_on(async {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"later").unwrap();
        drop(writer);
        let ours = reader.try_clone().unwrap();
        let (outcome, _) = Rig::new()
            .run_with(
                Options::default(),
                command(&["/no/such/program"]),
                Some(reader.into()),
            )
            .await;
        assert_eq!(outcome.unwrap_err().exit_code(), 127);
        let mut left = String::new();
        std::io::Read::read_to_string(&mut { ours }, &mut left).unwrap();
        assert_eq!(left, "later");
    });
}

fn the_launchers_descriptions_stay_as_they_were() {
    block_on(async {
        let (reader, writer) = std::io::pipe().unwrap();
        let (launcher, input) = (reader.try_clone().unwrap(), OwnedFd::from(reader));
        drop(writer);
        let before = rustix::fs::fcntl_getfl(&launcher).unwrap();
        let rig = Rig::new();
        let (outcome, _) = rig
            .run_with(Options::default(), sh("cat; echo done"), Some(input))
            .await;
        outcome.unwrap();
        assert_eq!(rustix::fs::fcntl_getfl(&launcher).unwrap(), before);
    });
}

fn a_terminal_echoes_and_has_a_size() {
    block_on(async {
        let mut command = sh("stty size; read line; echo got $line");
        command.tty = Some(stockade_wire::WindowSize {
            rows: 33,
            columns: 101,
            x_pixels: 0,
            y_pixels: 0,
        });
        let stdin = source(b"word\n".to_vec());
        let (outcome, said) = Rig::new()
            .run_with(Options::default(), command, Some(stdin))
            .await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(0));
        assert!(
            said.out().contains("33 101") && said.out().contains("got word"),
            "{:?}",
            said.out()
        );
    });
}

fn stops_and_continues_are_told() {
    block_on(async {
        let rig = Rig::new();
        let shim = rig.start(Options::default()).await;
        let handle = shim.handle();
        let (io, listener) = pipes(None);
        let mut seen = Vec::new();
        let outcome = shim
            .run_foreground(sh("kill -STOP $$; echo on"), io, |event| {
                if matches!(event, RunEvent::Stopped { .. }) {
                    handle.signal(18, true);
                }
                seen.push(event);
            })
            .await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(0));
        assert!(
            matches!(
                seen[..2],
                [RunEvent::Started { .. }, RunEvent::Stopped { signal: 19 }]
            ),
            "{seen:?}"
        );
        assert_eq!(listener.said().out(), "on\n");
    });
}

fn files_go_in_and_out_before_the_command_runs() {
    block_on(async {
        let rig = Rig::new();
        let shim = rig.start(Options::default()).await;
        let path = rig.place.path().join("file");
        let content = vec![7; 200_000];
        shim.session().write_file(&path, &content, 0o640).await.unwrap();
        assert!(shim.session().read_file(&path, 1 << 20).await.unwrap() == content);
        assert_eq!(shim.session().stat(&path, true).await.unwrap().size, 200_000);
        let names = shim
            .session()
            .list_directory(rig.place.path(), 100)
            .await
            .unwrap();
        assert!(names.iter().any(|entry| entry.name == b"file"));
        let (io, listener) = pipes(None);
        let script = format!("wc -c < {}", path.display());
        shim.run_foreground(sh(&script), io, |_| {}).await.unwrap();
        assert_eq!(listener.said().out().trim(), "200000");
    });
}
