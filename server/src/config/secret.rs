//! Secrets: in the file, or better in a file of their own.

use std::{fs::File as Handle, io::Read, path::Path};

use zeroize::Zeroizing;

use super::file::{Field, Section};
use crate::secret::Secret;

/// No client secret is longer.
const LIMIT: u64 = 8 * 1024;

/// The secret called `key`, from `key` or from the file that `key_file` names: exactly one of them. Refusals repeat
/// neither, as people paste secrets where a path belongs.
pub(super) fn secret(section: &Section<'_>, key: &str) -> Option<Secret> {
    let file_key = format!("{key}_file");
    match (section.text(key), section.text(&file_key)) {
        (Some(_), Some(file)) => {
            file.reject(format!("stands next to `{key}`; keep only one of them"));
            None
        }
        (Some(value), None) => {
            if readable_by_all(section.file.path()) {
                value.warn(format!(
                    "everybody on this machine can read it here; use `{file_key}`, or `chmod o= {}`",
                    section.file.path().display()
                ));
            }
            value.parse(usable)
        }
        (None, Some(file)) => from_file(&file),
        (None, None) => {
            if !section.has(key) && !section.has(&file_key) {
                let message =
                    format!("is missing; write `{file_key} = \"…\"` with the path of a file that holds it");
                section.file.reject(section.start(), section.key(key), message);
            }
            None
        }
    }
}

fn from_file(field: &Field<'_>) -> Option<Secret> {
    let path = field.path()?;
    let text = match read_limited(&path, LIMIT) {
        Ok(bytes) => bytes,
        Err(problem) => {
            field.reject(problem);
            return None;
        }
    };
    if readable_by_all(&path) {
        field.warn("everybody on this machine can read that file; `chmod 0400` it");
    }
    let Ok(text) = std::str::from_utf8(&text) else {
        field.reject("the file holds something that is not text");
        return None;
    };
    match usable(text.trim()) {
        Ok(secret) => Some(secret),
        Err(_) => {
            field.reject("the file does not hold a secret in one line");
            None
        }
    }
}

fn usable(text: &str) -> Result<Secret, String> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err("is not a secret: it is empty or has blanks in it".to_owned());
    }
    Ok(Secret::new(text))
}

/// The content of a file, unless it is longer than `limit`.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let failed = |error: std::io::Error| format!("the file can't be read: {error}");
    let handle = Handle::open(path).map_err(failed)?;
    if handle.metadata().map_err(failed)?.is_dir() {
        return Err("is a folder, not a file".to_owned());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    handle.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(format!("the file is longer than {limit} bytes"));
    }
    Ok(bytes)
}

/// Whether everybody on the machine may read it.
fn readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
