//! A change set as a sandbox may leave it: any content, names and modes. It is compared, told and
//! written as a patch without a panic.

#![no_main]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use stockade_host::workspace::{ScanLimits, Trees, Wish};

/// Name, content before, content inside, permission bits.
type File<'a> = (&'a [u8], Option<&'a [u8]>, Option<&'a [u8]>, u16);

fn put(root: &Path, name: &[u8], content: Option<&[u8]>, mode: u16) {
    let is_name = !name.is_empty() && name.len() < 200 && !name.contains(&b'/') && !name.contains(&0);
    let (true, Some(content)) = (is_name && name != b"." && name != b"..", content) else {
        return;
    };
    let path = root.join(std::ffi::OsStr::from_bytes(name));
    if fs::write(&path, content).is_ok() {
        let _ = fs::set_permissions(
            &path,
            fs::Permissions::from_mode(u32::from(mode & 0o7777) | 0o600),
        );
    }
}

fuzz_target!(|files: Vec<File<'_>>| {
    let place = tempfile::tempdir().expect("a directory");
    let (upper, lower) = (place.path().join("upper"), place.path().join("lower"));
    for root in [&upper, &lower] {
        fs::create_dir(root).expect("a directory");
    }
    for (name, before, after, mode) in files.into_iter().take(16) {
        put(&lower, name, before, mode);
        put(&upper, name, after, mode);
    }
    let trees = Trees::open(&upper, &lower).expect("both are there");
    let wish = Wish {
        limits: ScanLimits::LIST,
        paths: Vec::new(),
        ignored: true,
        live: false,
    };
    let review = trees.review(&wish).expect("it can be read");
    for item in &review.changes {
        let _ = trees.detail(item).lines();
    }
    trees.patch(&review).expect("it can be written");
});
