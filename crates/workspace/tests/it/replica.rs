//! A private copy, and what was changed in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use stockade_workspace::replica::{self, Calm, CopyLimits, Order};
use stockade_workspace::{ChangeKind, Error, ScanLimits, Trees, scan};

/// A workspace with a few files, and the directory of its change set.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = Self { root };
        for (name, content) in [
            ("a", "a"),
            ("dir/b", "b"),
            ("dir/deep/c", "c"),
            ("gone/d", "d"),
            (".env", "secret"),
        ] {
            let path = place.source().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        symlink("a", place.source().join("link")).unwrap();
        fs::create_dir(place.changes()).unwrap();
        place
    }

    fn source(&self) -> PathBuf {
        self.root.path().join("source")
    }

    fn changes(&self) -> PathBuf {
        self.root.path().join("changes")
    }

    fn copy(&self) -> PathBuf {
        self.changes().join(replica::COPY)
    }

    fn order(&self) -> Order {
        Order {
            source: self.source(),
            copy: self.copy(),
            upper: Some(self.changes().join("upper")),
            list: self.changes().join(replica::LIST),
            owner: None,
            hidden: vec![".env".into()],
            limits: CopyLimits::default(),
        }
    }

    fn made(self) -> Self {
        replica::make(&self.order(), &|| false).unwrap();
        self
    }

    /// What the change set says once the copy has been looked through.
    fn told(&self) -> Vec<(ChangeKind, String)> {
        assert!(replica::distil(&self.changes()).unwrap());
        let set = scan(&self.changes().join("upper"), &self.source(), ScanLimits::LIST).unwrap();
        set.changes
            .iter()
            .map(|change| (change.kind, change.path.display().to_string()))
            .collect()
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_copy_is_like_its_original_without_what_is_hidden() {
    let place = Place::new().made();
    assert_eq!(text(&place.copy().join("dir/deep/c")), "c");
    assert_eq!(fs::read_link(place.copy().join("link")).unwrap(), Path::new("a"));
    assert_eq!(text(&place.copy().join(".env")), "");
    let times = |root: PathBuf| fs::metadata(root.join("a")).unwrap().mtime_nsec();
    assert_eq!(times(place.copy()), times(place.source()));
}

#[test]
fn nothing_changed_is_nothing() {
    let place = Place::new().made();
    assert_eq!(place.told(), []);
}

#[test]
fn every_kind_of_change_is_told() {
    let place = Place::new().made();
    let copy = place.copy();
    fs::write(copy.join("a"), "other").unwrap();
    fs::write(copy.join("dir/new"), "new").unwrap();
    fs::create_dir_all(copy.join("fresh/below")).unwrap();
    fs::write(copy.join("fresh/below/x"), "x").unwrap();
    fs::remove_dir_all(copy.join("gone")).unwrap();
    fs::remove_file(copy.join("link")).unwrap();
    fs::set_permissions(copy.join("dir/deep"), fs::Permissions::from_mode(0o700)).unwrap();
    let told = place.told();
    let expected = [
        (ChangeKind::Changed, "a"),
        (ChangeKind::Changed, "dir/deep"),
        (ChangeKind::Added, "dir/new"),
        (ChangeKind::Added, "fresh"),
        (ChangeKind::Added, "fresh/below"),
        (ChangeKind::Added, "fresh/below/x"),
        (ChangeKind::Deleted, "gone"),
        (ChangeKind::Deleted, "gone/d"),
        (ChangeKind::Deleted, "link"),
    ];
    assert_eq!(told, expected.map(|(kind, path)| (kind, path.to_owned())));
    assert_eq!(text(&place.changes().join("upper/a")), "other");
    assert_eq!(text(&place.source().join("a")), "a", "the original changed");
}

/// Editors replace files, builds touch them: content decides.
#[test]
fn what_was_touched_and_is_the_same_is_no_change() {
    let place = Place::new().made();
    let copy = place.copy();
    fs::rename(copy.join("a"), copy.join("tmp")).unwrap();
    fs::write(copy.join("a"), "a").unwrap();
    fs::set_permissions(
        copy.join("a"),
        fs::metadata(place.source().join("a")).unwrap().permissions(),
    )
    .unwrap();
    fs::remove_file(copy.join("tmp")).unwrap();
    fs::write(copy.join("dir/b"), "b").unwrap();
    assert_eq!(place.told(), []);
}

/// A file of the same length with a time set back.
#[test]
fn times_that_were_set_back_hide_nothing() {
    let place = Place::new().made();
    let path = place.copy().join("a");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "X").unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(place.told(), [(ChangeKind::Changed, "a".to_owned())]);
}

#[test]
fn links_out_of_the_copy_are_not_followed() {
    let place = Place::new().made();
    let outside = place.root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("b"), "theirs").unwrap();
    fs::remove_dir_all(place.copy().join("dir")).unwrap();
    symlink(&outside, place.copy().join("dir")).unwrap();
    assert!(place.told().contains(&(ChangeKind::Replaced, "dir".to_owned())));
    assert_eq!(text(&outside.join("b")), "theirs");
    assert!(
        fs::symlink_metadata(place.changes().join("upper/dir"))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn closed_directories_are_looked_into() {
    let place = Place::new().made();
    fs::write(place.copy().join("dir/b"), "other").unwrap();
    fs::set_permissions(place.copy().join("dir"), fs::Permissions::from_mode(0o0)).unwrap();
    let told = place.told();
    fs::set_permissions(
        place.changes().join("upper/dir"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    assert!(told.iter().any(|(_, path)| path == "dir"), "{told:?}");
    assert_eq!(text(&place.changes().join("upper/dir/b")), "other");
}

/// The next sandbox goes on with what the last one changed, and changes it back in part.
#[test]
fn a_later_copy_goes_on_with_earlier_changes() {
    let place = Place::new().made();
    let copy = place.copy();
    fs::write(copy.join("a"), "other").unwrap();
    fs::write(copy.join("new"), "new").unwrap();
    fs::remove_file(copy.join("dir/b")).unwrap();
    fs::remove_dir_all(copy.join("gone")).unwrap();
    fs::set_permissions(copy.join("dir/deep"), fs::Permissions::from_mode(0o700)).unwrap();
    let first = place.told();
    fs::remove_dir_all(place.copy()).unwrap();
    let place = place.made();
    assert_eq!(text(&copy.join("a")), "other");
    assert!(!copy.join("dir/b").exists() && !copy.join("gone").exists());
    assert_eq!(place.told(), first, "nothing was done, and the set is another");
    fs::remove_dir_all(place.copy()).unwrap();
    fs::remove_dir_all(place.changes().join(replica::OLD)).unwrap();
    let place = place.made();
    fs::write(copy.join("a"), "a").unwrap();
    fs::write(copy.join("dir/b"), "b").unwrap();
    fs::remove_file(copy.join("new")).unwrap();
    let left: Vec<String> = place.told().into_iter().map(|(_, path)| path).collect();
    assert_eq!(left, ["dir/deep", "gone", "gone/d"]);
}

/// Taken out half and then once more.
#[test]
fn an_interrupted_look_goes_on() {
    let place = Place::new().made();
    let (copy, changes) = (place.copy(), place.changes());
    fs::write(copy.join("a"), "other").unwrap();
    fs::remove_file(copy.join("dir/b")).unwrap();
    let list = changes.join(replica::LIST);
    let kept = fs::read(&list).unwrap();
    let first = place.told();
    // All was carried and nothing said to be done.
    fs::rename(changes.join("upper"), changes.join("upper.new")).unwrap();
    fs::write(&list, kept).unwrap();
    assert_eq!(place.told(), first);
    // All was said to be done and nothing put in place.
    fs::rename(changes.join("upper"), changes.join("upper.new")).unwrap();
    fs::write(changes.join("copy.done"), "").unwrap();
    assert_eq!(place.told(), first);
    assert!(!replica::distil(&changes).unwrap());
}

#[test]
fn what_is_too_large_is_refused_with_the_way_out() {
    let place = Place::new();
    let mut order = place.order();
    order.limits.names = 3;
    let error = replica::make(&order, &|| false).unwrap_err();
    assert!(matches!(error, Error::CopyLimit { .. }));
    assert!(error.to_string().contains("more than 3 names") && error.to_string().contains("--workspace"));
}

#[test]
fn a_running_copy_can_be_looked_at() {
    let place = Place::new().made();
    fs::write(place.copy().join("a"), "other").unwrap();
    let at = replica::at(&place.changes()).unwrap();
    let found = Trees::open(&at, &place.source())
        .unwrap()
        .scan_whole(ScanLimits::LIST)
        .unwrap();
    // What was hidden is empty, and so differs.
    assert_eq!(found.counts.changed, 2);
    assert!(place.changes().join(replica::LIST).exists());
}

#[test]
fn a_draft_tells_what_a_look_at_the_end_tells_and_leaves_the_copy_alone() {
    let place = Place::new().made();
    let copy = place.copy();
    fs::write(copy.join("a"), "other").unwrap();
    fs::create_dir_all(copy.join("fresh/below")).unwrap();
    fs::write(copy.join("fresh/below/x"), "x").unwrap();
    fs::remove_dir_all(copy.join("gone")).unwrap();
    fs::set_permissions(copy.join("dir/deep"), fs::Permissions::from_mode(0o700)).unwrap();
    let draft = place.root.path().join("draft");
    assert!(replica::gather(&place.changes(), &draft, Calm::Moving).unwrap());
    let names = |upper: &Path| -> Vec<(ChangeKind, PathBuf)> {
        let set = scan(upper, &place.source(), ScanLimits::LIST).unwrap();
        set.changes
            .into_iter()
            .map(|change| (change.kind, change.path))
            .collect()
    };
    let early = names(&draft);
    assert_eq!(text(&copy.join("fresh/below/x")), "x");
    assert!(replica::distil(&place.changes()).unwrap());
    assert_eq!(early, names(&place.changes().join("upper")));
    assert_eq!(early.len(), 7);
}

#[test]
fn a_closed_directory_is_opened_only_where_nothing_moves() {
    let place = Place::new().made();
    fs::set_permissions(place.copy().join("dir/deep"), fs::Permissions::from_mode(0o0)).unwrap();
    let draft = |name: &str| place.root.path().join(name);
    // To root nothing is closed.
    let opened = replica::gather(&place.changes(), &draft("one"), Calm::Moving).is_ok();
    assert_eq!(opened, rustix::process::geteuid().is_root());
    assert!(replica::gather(&place.changes(), &draft("two"), Calm::Still).unwrap());
}

#[test]
fn attributes_of_programs_are_copied_and_those_of_overlays_are_not() {
    let place = Place::new();
    let set = |name: &str| {
        rustix::fs::setxattr(
            place.source().join("a"),
            name,
            b"1",
            rustix::fs::XattrFlags::empty(),
        )
    };
    set("user.mine").unwrap();
    let _ = set("user.overlay.opaque");
    let place = place.made();
    let mut value = [0; 8];
    assert_eq!(
        rustix::fs::getxattr(place.copy().join("a"), "user.mine", &mut value[..]),
        Ok(1)
    );
    assert!(rustix::fs::getxattr(place.copy().join("a"), "user.overlay.opaque", &mut value[..]).is_err());
}
