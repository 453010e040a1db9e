//! The key that signs on this machine: Ed25519 (RFC 8032), as PKCS #8 in PEM, which `openssl` reads as well.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File};
use std::io::{Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{SECRET_KEY_LENGTH, Signature, Signer, SigningKey as Secret, VerifyingKey};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};

use super::EvidenceError;

/// Where it is in the state directory.
const DIRECTORY: &str = "evidence";
const FILE: &str = "key.pem";
/// A larger file is no key.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// The secret half.
pub struct SigningKey(Secret);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SigningKey({})", self.public().id())
    }
}

/// The half that everybody may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl SigningKey {
    /// The key of a state directory, made where there is none.
    ///
    /// # Errors
    /// [`EvidenceError::Key`] if there is one that others could read, or that is none.
    pub fn of(state: &Path) -> Result<Self, EvidenceError> {
        let directory = state.join(DIRECTORY);
        let path = directory.join(FILE);
        match Self::read(&path)? {
            Some(key) => Ok(key),
            None => Self::make(&directory, &path),
        }
    }

    /// The same, if there is one.
    ///
    /// # Errors
    /// As [`SigningKey::of`].
    pub fn existing(state: &Path) -> Result<Option<Self>, EvidenceError> {
        Self::read(&state.join(DIRECTORY).join(FILE))
    }

    fn read(path: &Path) -> Result<Option<Self>, EvidenceError> {
        let refuse = |why: String| EvidenceError::Key {
            path: path.to_owned(),
            why,
        };
        let opened = File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(refuse(cause.to_string())),
        };
        let seen = file.metadata().map_err(|cause| refuse(cause.to_string()))?;
        if !seen.is_file() || seen.mode() & 0o077 != 0 {
            return Err(refuse("others may read it, or it is no regular file".to_owned()));
        }
        if seen.uid() != rustix::process::geteuid().as_raw() {
            return Err(refuse("it belongs to another user".to_owned()));
        }
        let mut text = String::new();
        file.take(MAX_KEY_BYTES)
            .read_to_string(&mut text)
            .map_err(|cause| refuse(cause.to_string()))?;
        let key = Secret::from_pkcs8_pem(&text).map_err(|error| refuse(error.to_string()))?;
        Ok(Some(Self(key)))
    }

    /// Two that make one at the same time get the same.
    fn make(directory: &Path, path: &Path) -> Result<Self, EvidenceError> {
        let failed = |cause: std::io::Error| EvidenceError::File {
            what: "write the signing key",
            path: path.to_owned(),
            cause,
        };
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(cause)),
            _ => {}
        }
        let mut seed = [0; SECRET_KEY_LENGTH];
        let got = getrandom(&mut seed, GetRandomFlags::empty()).map_err(|errno| failed(errno.into()))?;
        if got != seed.len() {
            return Err(failed(std::io::Error::other("too few random bytes")));
        }
        let text = Secret::from_bytes(&seed)
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| failed(std::io::Error::other(error.to_string())))?;
        let unfinished = unfinished(path);
        let write = || {
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // A link is made or is not, and never replaces one.
            std::fs::hard_link(&unfinished, path)
        };
        let made = write();
        let _ = std::fs::remove_file(&unfinished);
        match made {
            Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(cause)),
            _ => Self::read(path)?.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into())),
        }
    }

    /// Its other half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; Signature::BYTE_SIZE] {
        self.0.sign(bytes).to_bytes()
    }
}

/// A name that nobody else takes at the same time.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(format!("{}", std::process::id()))
}

impl PublicKey {
    /// From a PEM file.
    ///
    /// # Errors
    /// It is none, or cannot be read.
    pub fn read(path: &Path) -> Result<Self, EvidenceError> {
        let file = File::open(path).map_err(|cause| EvidenceError::File {
            what: "read",
            path: path.to_owned(),
            cause,
        })?;
        let refuse = |why: String| EvidenceError::PublicKey {
            path: path.to_owned(),
            why,
        };
        let mut text = String::new();
        file.take(MAX_KEY_BYTES)
            .read_to_string(&mut text)
            .map_err(|cause| refuse(cause.to_string()))?;
        let key = VerifyingKey::from_public_key_pem(&text).map_err(|error| refuse(error.to_string()))?;
        Ok(Self(key))
    }

    /// As PEM.
    ///
    /// # Errors
    /// Never, for a key that was read or made.
    pub fn pem(&self) -> Result<String, EvidenceError> {
        self.0
            .to_public_key_pem(LineEnding::LF)
            .map_err(|error| EvidenceError::Malformed {
                why: error.to_string(),
            })
    }

    /// By what signatures name it: the SHA-256 of its 32 bytes.
    #[must_use]
    pub fn id(&self) -> String {
        let hash = Sha256::digest(self.0.as_bytes());
        hash.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
            text
        })
    }

    /// Strict: a signature has one form, and a weak key signs nothing (RFC 8032, section 8.4 and beyond).
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(bytes, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let state = tempfile::tempdir().unwrap();
        let first = SigningKey::of(state.path()).unwrap();
        let again = SigningKey::of(state.path()).unwrap();
        let seen = state.path().join("evidence/key.pem").metadata().unwrap();
        assert_eq!((first.public(), seen.mode() & 0o777), (again.public(), 0o600));
        assert_eq!(
            std::fs::read_dir(state.path().join("evidence")).unwrap().count(),
            1
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let state = tempfile::tempdir().unwrap();
        SigningKey::of(state.path()).unwrap();
        let path = state.path().join("evidence/key.pem");
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = SigningKey::of(state.path()).unwrap_err().to_string();
        assert!(
            error.contains("others may read it") && error.contains("remove it"),
            "{error}"
        );
    }

    #[test]
    fn a_public_key_is_read_as_it_was_written() {
        let state = tempfile::tempdir().unwrap();
        let key = SigningKey::of(state.path()).unwrap().public();
        let path = state.path().join("public.pem");
        std::fs::write(&path, key.pem().unwrap()).unwrap();
        assert_eq!(PublicKey::read(&path).unwrap(), key);
        std::fs::write(&path, "no key").unwrap();
        assert!(matches!(
            PublicKey::read(&path),
            Err(EvidenceError::PublicKey { .. })
        ));
    }
}
