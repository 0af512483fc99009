//! The root key: one file, one line, one owner.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{DataKeyRow, KeyError, NONCE, Purpose, TAG, VERSION, XCHACHA20_POLY1305, join, same};
use crate::{clock::Timestamp, random::Entropy};

const KEY: usize = 32;
const WRAPPED: usize = 2 + NONCE + KEY + TAG;

/// The key that wraps all others. It lives in a file outside the database: 32 random bytes, in standard base64 with
/// padding (44 characters, what `openssl rand -base64 32` prints), on one line, mode 0400 or 0600. Wiped when
/// dropped.
pub struct RootKey {
    key: Zeroizing<[u8; KEY]>,
    path: String,
}

impl RootKey {
    /// Reads the key file. Links are followed, since systemd and Kubernetes hand keys over that way; what counts is
    /// the mode of the file that is opened.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`], also if there is no such file, [`KeyError::Exposed`] if anyone but the owner may
    /// read it, [`KeyError::Malformed`] if it holds anything but a key.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let name = || path.display().to_string();
        let unreadable = |source| KeyError::Unreadable { path: name(), source };

        // Before it is opened, because opening a pipe waits for a writer.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(KeyError::Malformed(name()));
        }
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
        if mode != 0o400 && mode != 0o600 {
            return Err(KeyError::Exposed { path: name(), mode });
        }
        // One byte more than a key and its line end, to notice what is too long.
        let mut text = Zeroizing::new(Vec::with_capacity(64));
        file.take(47).read_to_end(&mut text).map_err(unreadable)?;
        let key = decode(&text).ok_or_else(|| KeyError::Malformed(name()))?;
        Ok(Self { key, path: name() })
    }

    /// Reads the key file, or makes it where neither key nor database exists yet: mode 0400, complete or not at all,
    /// and on the disk before this returns. If another process was faster, that one's key is read.
    ///
    /// # Errors
    /// As [`RootKey::load`]. [`KeyError::Missing`] if there is a database: a new key could open nothing in it.
    /// [`KeyError::NotCreated`], [`KeyError::NoEntropy`].
    pub fn load_or_create(
        path: impl AsRef<Path>,
        database_exists: bool,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyError> {
        let path = path.as_ref();
        match Self::load(path) {
            Err(KeyError::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        if database_exists {
            return Err(KeyError::Missing(path.display().to_string()));
        }
        let mut key = Zeroizing::new([0; KEY]);
        entropy.fill(&mut *key)?;
        create(path, &key, entropy)?;
        Self::load(path)
    }

    /// A new data key, wrapped.
    pub(super) fn new_data_key(
        &self,
        purpose: Purpose,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<DataKeyRow, KeyError> {
        let mut id = [0; 16];
        let mut nonce = [0; NONCE];
        let mut key = Zeroizing::new([0; KEY]);
        entropy.fill(&mut id)?;
        entropy.fill(&mut nonce)?;
        entropy.fill(&mut *key)?;
        let damaged = KeyError::Damaged { id: hex(&id), problem: "it can't be wrapped" };

        let mut wrapped = Vec::with_capacity(WRAPPED);
        wrapped.extend_from_slice(&[VERSION, XCHACHA20_POLY1305]);
        wrapped.extend_from_slice(&nonce);
        let bound = bind(&wrapped, &id, purpose.as_str());
        let tag = self
            .cipher()
            .encrypt_inout_detached(&XNonce::from(nonce), &bound, key.as_mut_slice().into())
            .map_err(|_| damaged)?;
        wrapped.extend_from_slice(&*key);
        wrapped.extend_from_slice(&tag);
        let check = self.check(&id, purpose.as_str());
        Ok(DataKeyRow { id, purpose: purpose.as_str().to_owned(), wrapped, check, created_at: now })
    }

    /// Unwraps a data key.
    pub(super) fn unwrap_data_key(&self, row: &DataKeyRow) -> Result<Zeroizing<[u8; KEY]>, KeyError> {
        let damaged = |problem| KeyError::Damaged { id: hex(&row.id), problem };
        if !same(&self.check(&row.id, &row.purpose), &row.check) {
            return Err(KeyError::WrongKey(self.path.clone()));
        }
        let wrapped: &[u8; WRAPPED] =
            row.wrapped.as_slice().try_into().map_err(|_| damaged("it has the wrong length"))?;
        let (header, rest) = wrapped.split_at(2 + NONCE);
        let (key, tag) = rest.split_at(KEY);
        let (&[version, algorithm], nonce) =
            header.split_first_chunk::<2>().ok_or_else(|| damaged("it has the wrong length"))?;
        if (version, algorithm) != (VERSION, XCHACHA20_POLY1305) {
            return Err(damaged("it is wrapped in a way that this version does not know"));
        }
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| damaged("it has the wrong length"))?;
        let tag = <[u8; TAG]>::try_from(tag).map_err(|_| damaged("it has the wrong length"))?;
        let mut unwrapped = Zeroizing::new([0; KEY]);
        unwrapped.copy_from_slice(key);
        self.cipher()
            .decrypt_inout_detached(
                &XNonce::from(nonce),
                &bind(header, &row.id, &row.purpose),
                unwrapped.as_mut_slice().into(),
                &Tag::from(tag),
            )
            .map_err(|_| damaged("its tag is wrong"))?;
        Ok(unwrapped)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }

    /// Tells a wrong root key from a changed row. A hash of 256 random bits shows nothing of them.
    fn check(&self, id: &[u8; 16], purpose: &str) -> Vec<u8> {
        let bound = Zeroizing::new(join(&[b"gitward root key check", &*self.key, id, purpose.as_bytes()]));
        Sha256::digest(&*bound).to_vec()
    }

    /// A key for tests, as if read from a file of that name.
    #[cfg(test)]
    pub(crate) fn for_test(key: [u8; KEY]) -> Self {
        Self { key: Zeroizing::new(key), path: "test.key".into() }
    }
}

/// The additional data of a wrapped key.
fn bind(header: &[u8], id: &[u8; 16], purpose: &str) -> Vec<u8> {
    join(&[b"gitward data key", header, id, purpose.as_bytes()])
}

fn decode(text: &[u8]) -> Option<Zeroizing<[u8; KEY]>> {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // 33 bytes are what 44 characters could be at most; the buffer never grows, so nothing stays behind.
    let mut decoded = Zeroizing::new([0; KEY + 1]);
    let length = (line.len() == 44).then(|| STANDARD.decode_slice(line, &mut *decoded).ok())??;
    let mut key = Zeroizing::new([0; KEY]);
    key.copy_from_slice(decoded.get(..length).filter(|bytes| bytes.len() == KEY)?);
    // A file of zeros, or any other byte repeated, was never random.
    key.iter().any(|&byte| byte != key[0]).then_some(key)
}

/// Writes the key to a file of its own, then gives it its name, which fails if the name is taken. So nobody ever
/// reads half a key.
fn create(path: &Path, key: &[u8; KEY], entropy: &dyn Entropy) -> Result<(), KeyError> {
    let mut suffix = [0; 8];
    entropy.fill(&mut suffix)?;
    let suffix = suffix.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{suffix}"));
    let draft = PathBuf::from(draft);
    let written = write(&draft, key).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = match std::fs::remove_file(&draft) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    written
        .and(removed)
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|source| KeyError::NotCreated { path: path.display().to_string(), source })
}

fn write(path: &Path, key: &[u8; KEY]) -> io::Result<()> {
    let mut line = Zeroizing::new([b'\n'; 45]);
    STANDARD
        .encode_slice(key, &mut line[..44])
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "the key has the wrong length"))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    // Whatever the process takes away from new files: this one has exactly this mode.
    file.set_permissions(Permissions::from_mode(0o400))?;
    file.write_all(&*line)?;
    file.sync_all()
}

fn hex(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}
