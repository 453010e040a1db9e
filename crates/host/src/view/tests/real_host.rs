//! The view of the host that the tests run on.

use super::*;

/// The operating system is there, read-only; what is private is private; what tells about
/// the host's users is replaced; what is left out is left out.
#[test]
fn the_system_is_shown_read_only() {
    let mut host = Host::new();
    host.search_path(&[]);
    let compiled = host.compile("");
    check_order(&compiled);
    for path in ["/usr", "/etc"] {
        assert!(is_host(&compiled, Path::new(path), Access::ReadOnly), "{path}");
    }
    let bin = std::fs::symlink_metadata("/bin").expect("/bin");
    assert_eq!(
        matches!(at(&compiled, Path::new("/bin")), Some(Content::Symlink { .. })),
        bin.is_symlink()
    );
    for path in ["/tmp", "/run", "/var/tmp"] {
        assert!(
            matches!(at(&compiled, Path::new(path)), Some(Content::Private { .. })),
            "{path}"
        );
    }
    for path in [
        "/",
        "/home",
        "/root",
        "/boot",
        "/mnt",
        "/media",
        "/srv",
        "/sys",
        "/lost+found",
    ] {
        assert_eq!(at(&compiled, Path::new(path)), None, "{path}");
    }
    let Some(Content::File { content }) = at(&compiled, Path::new("/etc/passwd")) else {
        panic!("no /etc/passwd")
    };
    let passwd = String::from_utf8_lossy(content);
    assert!(
        passwd.contains(&format!("user:x:1000:1000:user:{}:", host.path("home").display())),
        "{passwd}"
    );
    assert_eq!(passwd.lines().count(), 3, "no user of the host: {passwd}");
}

/// With the host's network, names are resolved as on the host.
#[test]
fn the_resolver_follows_the_network() {
    let mut host = Host::new();
    host.search_path(&[]);
    let Ok(real) = std::fs::canonicalize("/etc/resolv.conf") else {
        return;
    };
    let closed = host.compile("");
    assert!(matches!(at(&closed, &real), Some(Content::File { .. })));
    let open = host.compile("[network]\nmode = \"host\"");
    assert!(
        !matches!(at(&open, &real), Some(Content::File { .. })),
        "the host's own is seen"
    );
    assert_eq!(at(&open, Path::new("/etc/hosts")), None);
}

/// An image stands in place of the system: only our own things are put on top.
#[test]
fn images_replace_the_system() {
    let mut host = Host::new();
    host.search_path(&[]);
    host.make("image/usr/bin/")
        .make("empty/")
        .make("home/.local/state/stockade/");
    let image = host.path("image");
    let compiled = host.compile(&format!("image = \"{}\"", image.display()));
    assert_eq!(compiled.image, Some(image));
    let places: Vec<_> = compiled
        .view
        .entries
        .iter()
        .map(|entry| entry.at.clone())
        .collect();
    let (home, project) = (host.path("home"), host.home("project/src"));
    let mut expected = vec![
        PathBuf::from("/dev"),
        "/proc".into(),
        "/tmp".into(),
        home,
        project,
        "/usr".into(),
    ];
    expected.sort();
    assert_eq!(places, expected);
    assert!(
        compiled
            .environment
            .get("PATH")
            .is_some_and(|path| path.contains("/usr/local/bin"))
    );
    for (wrong, why) in [
        ("empty", "neither usr nor bin"),
        ("home", "home directory"),
        ("missing", "create it"),
    ] {
        let error = host.refuse(&format!("image = \"{}\"", host.path(wrong).display()));
        assert!(error.contains(why), "{error}");
    }
}

/// Measures the default policy on this host: `cargo test -p stockade-host --release view_cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check: timing decides nothing"]
fn view_cost() {
    let policy = read("[workspace]\npath = \"/usr/share\"");
    let mut times: Vec<_> = (0..1000)
        .map(|_| {
            let start = std::time::Instant::now();
            let context = Context::of_process(None).expect("a current directory");
            let compiled = compile(&policy, &context, WHO).expect("the default policy");
            (start.elapsed(), compiled.view.entries.len())
        })
        .collect();
    times.sort();
    println!("median {:?}, {} entries", times[500].0, times[500].1);
}
