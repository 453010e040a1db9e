//! Links that drop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stockade_domain::Exit;
use stockade_host::shim::Options;

use crate::rig::{Rig, block_on, command, pipes, sh, source};

crate::tests![streams_survive_links_that_drop, a_command_outlives_its_link];

fn streams_survive_links_that_drop() {
    block_on(async {
        let rig = Rig::new();
        let shim = rig.start(Options::default()).await;
        let bytes: Vec<u8> = (0..30_000_000_u32)
            .map(|number| (number % 251).to_le_bytes()[0])
            .collect();
        let (io, listener) = pipes(Some(source(bytes.clone())));
        let knobs = Arc::clone(&rig.knobs);
        let cutter = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(15)).await;
                if let Some(relay) = knobs.cut.lock().unwrap().take() {
                    relay.abort();
                }
            }
        });
        let outcome = shim.run_foreground(command(&["cat"]), io, |_| {}).await.unwrap();
        cutter.await.unwrap();
        assert_eq!(outcome.exit, Exit::Code(0));
        assert!(listener.said().stdout == bytes);
        assert!(rig.knobs.links.load(Ordering::Relaxed) > 1);
    });
}

fn a_command_outlives_its_link() {
    block_on(async {
        let rig = Rig::new();
        let shim = rig.start(Options::default()).await;
        let (io, listener) = pipes(None);
        let knobs = Arc::clone(&rig.knobs);
        let cut = move |_| {
            if let Some(relay) = knobs.cut.lock().unwrap().take() {
                relay.abort();
            }
        };
        let outcome = shim
            .run_foreground(sh("sleep 0.3; echo still here; exit 6"), io, cut)
            .await
            .unwrap();
        assert_eq!(
            (outcome.exit, listener.said().out()),
            (Exit::Code(6), "still here\n")
        );
        assert_eq!(rig.knobs.links.load(Ordering::Relaxed), 2);
    });
}
