use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::drivers::native::Native;
use crate::state::StateDirs;

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    fn state(&self) -> PathBuf {
        self.root.path().join("stockade")
    }

    fn short(&self) -> PathBuf {
        self.state().join("probes/native.json")
    }

    fn keep(&self, probed: Probed, report: &[u8]) {
        probed
            .keep(&StateDirs::open(&self.state()).unwrap(), report)
            .unwrap();
    }

    fn found(&self) -> LastProbe {
        LastProbe::of(Probed::read(&self.state(), "native"), &now())
    }

    fn why(&self) -> String {
        match self.found() {
            LastProbe::Unreadable { why } => why,
            other => panic!("{other:?}"),
        }
    }
}

fn now() -> Circumstances {
    let programs = [std::env::current_exe().unwrap()];
    let build = Build {
        version: "1",
        battery: "b",
        programs: &programs,
    };
    Circumstances::now(&Native::new(), build).unwrap()
}

fn held() -> Probed {
    Probed {
        held: 3,
        ..Probed::now("native", now())
    }
}

fn contradicted() -> Probed {
    Probed {
        contradictions: vec![Contradiction {
            probe: "FS03".to_owned(),
            title: "a secret".to_owned(),
            controls: vec![ControlKind::FilesUnreadable],
        }],
        ..held()
    }
}

#[test]
fn what_is_kept_is_found_again_with_its_report() {
    let place = Place::new();
    assert_eq!(place.found(), LastProbe::Never);
    place.keep(contradicted(), b"the report");
    let found = place.found();
    assert_eq!(found.contradictions().len(), 1);
    assert_eq!(
        found.valid().unwrap().report(&place.state()).unwrap(),
        b"the report"
    );
    place.keep(held(), b"another");
    assert!(matches!(place.found(), LastProbe::Held { .. }));
}

#[test]
fn it_is_private() {
    let place = Place::new();
    place.keep(held(), b"report");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.state().join("probes")), 0o700);
    assert_eq!(mode(&place.short()), 0o600);
    assert_eq!(mode(&place.state().join("probes/native-report.json")), 0o600);
}

#[test]
fn what_others_could_have_written_is_not_believed() {
    let place = Place::new();
    place.keep(held(), b"report");
    fs::set_permissions(place.short(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(place.why().contains("others could have written it"));
}

#[test]
fn an_edited_result_is_not_believed() {
    let place = Place::new();
    place.keep(contradicted(), b"report");
    let text = fs::read_to_string(place.short()).unwrap();
    assert!(text.contains("FS03"));
    fs::write(place.short(), text.replace("files-unreadable", "names-hidden")).unwrap();
    assert!(place.why().contains("cut off or changed"));
    fs::write(place.short(), &text[..text.len() / 2]).unwrap();
    assert!(place.why().contains("cut off or changed"));
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let place = Place::new();
    place.keep(held(), b"report");
    let elsewhere = place.root.path().join("elsewhere");
    fs::rename(place.short(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.short()).unwrap();
    assert!(place.why().contains("symbolic link"));
}

#[test]
fn the_result_of_one_driver_is_none_of_another() {
    let place = Place::new();
    place.keep(Probed::now("chroot", now()), b"report");
    fs::rename(place.state().join("probes/chroot.json"), place.short()).unwrap();
    assert!(place.why().contains("of another driver"));
}

#[test]
fn a_report_of_another_probe_is_refused() {
    let place = Place::new();
    place.keep(held(), b"report");
    fs::write(place.state().join("probes/native-report.json"), b"forged").unwrap();
    let found = place.found();
    let error = found.valid().unwrap().report(&place.state()).unwrap_err();
    assert!(error.to_string().contains("cut off or changed"), "{error}");
}

#[test]
fn a_result_that_cannot_be_kept_leaves_no_older_one() {
    let place = Place::new();
    place.keep(held(), b"report");
    let state = StateDirs::open(&place.state()).unwrap();
    let long = vec![b'x'; usize::try_from(crate::state::MAX_FILE_BYTES).unwrap() + 1];
    contradicted().keep(&state, &long).unwrap_err();
    assert_eq!(place.found(), LastProbe::Never);
}

#[test]
fn an_older_result_is_outdated_and_contradicts_nothing() {
    let mut former = contradicted();
    former.circumstances.boot.push('x');
    let judged = former.judged(&now());
    assert!(judged.contradictions().is_empty() && judged.valid().is_none());
    assert!(
        matches!(judged, LastProbe::Outdated { changes, .. } if changes == ["the machine was started anew"])
    );
}
