//! The library as a program uses it, with the real driver and this program as the guest.

use std::sync::Arc;

use stockade_domain::Exit;
use stockade_host::driver::GuestProgram;
use stockade_host::drivers::native::Native;
use stockade_host::error::Error;
use stockade_host::sandbox::{CreateError, Sandbox};

use crate::rig::{Rig, block_on, tell_skip};

crate::tests![
    commands_run_and_nothing_is_left,
    time_and_output_are_limited,
    one_that_is_dropped_leaves_nothing,
    what_cannot_be_held_is_refused,
];

const NO_WORKSPACE: &str = "version = 1\n[workspace]\nmode = \"none\"\n";

async fn create(rig: &Rig, more: &str) -> Result<Sandbox, CreateError> {
    let policy = format!("{NO_WORKSPACE}{more}");
    let guest = GuestProgram::this().unwrap();
    Sandbox::create(&rig.dirs, Arc::new(Native::new()), guest, &policy).await
}

/// None where this host cannot have a native sandbox, which is told.
async fn usable(rig: &Rig, more: &str) -> Option<Sandbox> {
    match create(rig, more).await {
        Ok(sandbox) => Some(sandbox),
        Err(CreateError::Build(Error::Refused(refusal))) => {
            tell_skip("host::sandbox", &refusal.to_string().replace('\n', "; "));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn commands_run_and_nothing_is_left() {
    block_on(async {
        let rig = Rig::new();
        let Some(sandbox) = usable(&rig, "").await else {
            return;
        };
        assert!(sandbox.receipt().verified() > 20);
        assert!(rig.dirs.find(sandbox.id()).unwrap().live);
        let script = "echo out; echo err >&2; exit 3";
        let done = sandbox.output(["sh", "-c", script]).await.unwrap();
        assert_eq!(done.exit, Exit::Code(3));
        assert_eq!((done.stdout, done.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        // The wall: a file of this test is not there. The control: it is, outside.
        let secret = rig.place.path().join("secret");
        std::fs::write(&secret, "s").unwrap();
        let looked = sandbox
            .output([std::ffi::OsString::from("cat"), secret.clone().into()])
            .await
            .unwrap();
        assert_eq!((looked.exit, looked.stdout.len()), (Exit::Code(1), 0));
        assert!(secret.exists());
        let missing = sandbox.output(["no-such-program"]).await;
        assert!(matches!(missing, Err(Error::Command { .. })), "{missing:?}");
        sandbox.destroy().await.unwrap();
        assert!(rig.remains().is_empty(), "{:?}", rig.remains());
    });
}

fn time_and_output_are_limited() {
    block_on(async {
        let rig = Rig::new();
        let limits = "[limits]\ntimeout = \"200ms\"\noutput = \"1K\"\n";
        let Some(sandbox) = usable(&rig, limits).await else {
            return;
        };
        let late = sandbox
            .output(["sh", "-c", "echo before; sleep 1000"])
            .await
            .unwrap();
        assert_eq!((late.exit, late.stdout), (Exit::TimedOut, b"before\n".to_vec()));
        let loud = sandbox.output(["sh", "-c", "exec yes"]).await.unwrap();
        assert_eq!(loud.exit, Exit::OutputLimit);
        assert!(loud.stdout.len() <= 1024);
        sandbox.destroy().await.unwrap();
    });
}

fn one_that_is_dropped_leaves_nothing() {
    block_on(async {
        let rig = Rig::new();
        let Some(sandbox) = usable(&rig, "").await else {
            return;
        };
        drop(sandbox);
        assert!(rig.remains().is_empty(), "{:?}", rig.remains());
    });
}

fn what_cannot_be_held_is_refused() {
    block_on(async {
        let rig = Rig::new();
        if let Some(sandbox) = usable(&rig, "").await {
            sandbox.destroy().await.unwrap();
            let watched = "[limits]\ndisk = \"1M\"\n[need]\ndisk = \"prefer\"\n";
            let refused = create(&rig, watched).await.err().map(|error| error.to_string());
            assert!(
                refused.as_ref().is_some_and(|why| why.contains("disk")),
                "{refused:?}"
            );
        }
        let wrong = create(&rig, "[limits]\nmemroy = \"1G\"\n").await.err();
        let told = wrong.map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("memroy") && told.contains("memory"), "{told}");
        assert!(rig.remains().is_empty(), "{:?}", rig.remains());
    });
}
