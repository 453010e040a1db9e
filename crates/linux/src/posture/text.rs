//! Reading files of /proc with a limit, and the few forms that their fields have.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::read;

use super::{Cause, Part};

/// The kernel gives a page at a time.
const CHUNK_BYTES: usize = 4096;

/// The whole content of a file.
pub(super) fn read_file(directory: impl AsFd, name: &str, limit_bytes: usize) -> Part<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    read_all(
        openat(directory, name, flags, Mode::empty())?.as_fd(),
        limit_bytes,
    )
}

fn read_all(file: BorrowedFd<'_>, limit_bytes: usize) -> Part<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let length = content.len();
        if length > limit_bytes {
            return Err(Cause::TooMuch(limit_bytes));
        }
        content.resize(length + CHUNK_BYTES, 0);
        let count = read(file, content.get_mut(length..).unwrap_or_default())?;
        content.truncate(length + count);
        if count == 0 {
            return Ok(content);
        }
    }
}

/// Lines without their ends; the last one may have none.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .strip_suffix(b"\n")
        .unwrap_or(content)
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// A number that is nothing but digits.
pub(super) fn number<T: TryFrom<u64>>(field: &[u8], radix: u32) -> Option<T> {
    let digits = std::str::from_utf8(field).ok()?;
    // The standard parser takes a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    T::try_from(u64::from_str_radix(digits, radix).ok()?).ok()
}

/// Numbers separated by blanks or tabs.
pub(super) fn numbers<T: TryFrom<u64>>(field: &[u8]) -> Option<Vec<T>> {
    field
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|part| !part.is_empty())
        .map(|part| number(part, 10))
        .collect()
}

pub(super) fn os(field: &[u8]) -> OsString {
    OsStr::from_bytes(field).to_owned()
}

pub(super) fn path(field: &[u8]) -> PathBuf {
    os(field).into()
}

/// Blank, tab, line feed and backslash stand as `\` and three octal digits in fields that are
/// separated by blanks.
pub(super) fn unescape(field: &[u8]) -> Option<OsString> {
    if !field.contains(&b'\\') {
        return Some(os(field));
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'\\' {
            plain.push(*first);
            continue;
        }
        let digits = tail.get(..3)?;
        if !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
            return None;
        }
        plain.push(number(digits, 8)?);
        rest = tail.get(3..)?;
    }
    Some(OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The kernel's escapes come back as what they stand for, others are refused.
    #[test]
    fn escapes() {
        let plain = |field: &str| unescape(field.as_bytes()).map(|plain| plain.into_string().unwrap());
        assert_eq!(plain(r"/a\040b\011c\012d\134e").as_deref(), Some("/a b\tc\nd\\e"));
        assert_eq!(plain(r"\134040").as_deref(), Some(r"\040"));
        for bad in [r"\", r"\0", r"\04", r"\09x", r"\xyz", r"\777", r"a\"] {
            assert_eq!(plain(bad), None, "{bad}");
        }
    }

    /// No signs, no blanks, nothing beyond the type.
    #[test]
    fn strict_numbers() {
        assert_eq!(number::<u32>(b"4294967295", 10), Some(u32::MAX));
        assert_eq!(number::<u64>(b"000001ffffffffff", 16), Some(0x1ff_ffff_ffff));
        for bad in [
            "",
            "+1",
            "-1",
            " 1",
            "1 ",
            "4294967296",
            "1x",
            "99999999999999999999",
        ] {
            assert_eq!(number::<u32>(bad.as_bytes(), 10), None, "{bad:?}");
        }
        assert_eq!(numbers::<u32>(b"\t1 2\t3 "), Some(vec![1, 2, 3]));
        assert_eq!(numbers::<u32>(b""), Some(vec![]));
        assert_eq!(numbers::<u32>(b"1 x"), None);
    }

    /// A file above the limit is an error, not a cut.
    #[test]
    fn limit_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("big"), vec![b'x'; 20_000]).unwrap();
        let directory = std::fs::File::open(directory.path()).unwrap();
        assert_eq!(read_file(&directory, "big", 1000), Err(Cause::TooMuch(1000)));
        assert_eq!(read_file(&directory, "big", 20_000).unwrap().len(), 20_000);
    }

    proptest! {
        /// Whatever stands in a field, it is taken or refused.
        #[test]
        fn fields_never_panic(field: Vec<u8>) {
            let _ = (unescape(&field), number::<u8>(&field, 8), numbers::<u64>(&field));
        }
    }
}
