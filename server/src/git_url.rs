//! Whether an address that a runtime names is at its own Git provider. What can be read in two ways is refused: whoever
//! gets a token must be exactly the host that it was given for.

use url::Url;

/// Longer addresses are none of a repository.
const LONGEST: usize = 2048;

/// Why no credential is for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotOurs {
    /// It is no plain address over HTTP: another scheme, a user name, something encoded, a way up.
    Refused,
    /// It is at another host, another port, or not below the provider's path.
    Elsewhere,
    /// It is the host alone, and the provider is below a path there: others may be beside it.
    HostAlone,
}

/// Compares `text` with the provider's address, letter by letter.
///
/// # Errors
/// As [`NotOurs`] says.
pub fn is_at(base: &Url, text: &str) -> Result<(), NotOurs> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/@!$&'()*+,;=%[]".contains(&byte);
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(plain) {
        return Err(NotOurs::Refused);
    }
    let (scheme, rest) = text.split_once("://").ok_or(NotOurs::Refused)?;
    if !matches!(scheme, "https" | "http") {
        return Err(NotOurs::Refused);
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = split_port(authority)?;
    let path = segments(path)?;
    let default = if scheme == "https" { 443 } else { 80 };
    let same = scheme == base.scheme()
        && Some(host) == base.host_str()
        && Some(port.unwrap_or(default)) == base.port_or_known_default();
    if !same {
        return Err(NotOurs::Elsewhere);
    }
    let above = base.path().trim_matches('/');
    if path.is_empty() && !above.is_empty() {
        return Err(NotOurs::HostAlone);
    }
    let mut path = path.into_iter();
    let below = above.is_empty() || above.split('/').all(|part| path.next() == Some(part));
    below.then_some(()).ok_or(NotOurs::Elsewhere)
}

/// Only what stands for itself: no user name, no encoding, no capital letters, no dot at the end.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), NotOurs> {
    let (host, port) = match authority.strip_prefix('[') {
        // Of IPv6 the brackets belong to the host.
        Some(inside) => {
            let end = inside.find(']').ok_or(NotOurs::Refused)? + 2;
            let (host, port) = authority.split_at(end);
            (host, (!port.is_empty()).then(|| port.strip_prefix(':').unwrap_or("")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let v6 = host.starts_with('[');
    let letter = |byte: u8| {
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.') || (v6 && matches!(byte, b'[' | b']' | b':'))
    };
    if host.is_empty() || host.ends_with('.') || !host.bytes().all(letter) {
        return Err(NotOurs::Refused);
    }
    let port = match port {
        None => None,
        Some(port) => {
            let number: u16 = port.parse().map_err(|_| NotOurs::Refused)?;
            // Not `0443`, not `+443`.
            Some(number)
                .filter(|number| number.to_string() == port && *number > 0)
                .ok_or(NotOurs::Refused)
                .map(Some)?
        }
    };
    Ok((host, port))
}

/// The parts of a path, of which none leads up, is empty before the end, or hides a further one.
fn segments(path: &str) -> Result<Vec<&str>, NotOurs> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = path.split('/').collect();
    parts.iter().all(|part| stands_for_itself(part)).then_some(parts).ok_or(NotOurs::Refused)
}

fn stands_for_itself(part: &str) -> bool {
    let mut decoded = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else { return false };
        let Ok(byte) = u8::try_from(high * 16 + low) else { return false };
        // A further encoding, a way out of the path, or an end of the line, in disguise.
        if byte < b' ' || matches!(byte, 0x7f | b'%' | b'/' | b'\\' | b'?' | b'#' | b'.') {
            return false;
        }
        decoded.push(byte);
    }
    !matches!(decoded.as_slice(), b"" | b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: &str, text: &str) -> Result<(), NotOurs> {
        is_at(&Url::parse(base).unwrap(), text)
    }

    #[test]
    fn a_repository_of_the_own_provider_is_ours() {
        for text in [
            "https://git.example.com",
            "https://git.example.com/",
            "https://git.example.com:443/acme/gitops.git",
            "https://git.example.com/acme/gitops",
            "https://git.example.com/~jane/my%20repo.git/",
            "https://git.example.com/v1.0/a@b/c+d",
        ] {
            assert_eq!(at("https://git.example.com", text), Ok(()), "{text}");
        }
        assert_eq!(at("https://git.example.com:8443/", "https://git.example.com:8443/a"), Ok(()));
        assert_eq!(at("http://127.0.0.1:3000", "http://127.0.0.1:3000/a"), Ok(()));
        assert_eq!(at("http://[::1]:3000", "http://[::1]:3000/a"), Ok(()));
        assert_eq!(at("https://h/bitbucket", "https://h/bitbucket/scm/a/b.git"), Ok(()));
        assert_eq!(at("https://xn--bcher-kva.example", "https://xn--bcher-kva.example/a"), Ok(()));
    }

    #[test]
    fn another_place_is_elsewhere() {
        for text in [
            "https://github.com/acme/gitops",
            "http://git.example.com/a",
            "http://git.example.com:443/a",
            "https://git.example.com:8443/a",
            "https://git.example.com.evil.example/a",
            "https://evilgit.example.com/a",
            "https://example.com/a",
            "https://xn--git-example-com/a",
            "https://1/a",
        ] {
            assert_eq!(at("https://git.example.com", text), Err(NotOurs::Elsewhere), "{text}");
        }
        for text in ["https://h", "https://h/"] {
            assert_eq!(at("https://h/bitbucket", text), Err(NotOurs::HostAlone), "{text}");
        }
        for text in ["https://h/bitbucket-2/a", "https://h/other", "https://h/scm/bitbucket"] {
            assert_eq!(at("https://h/bitbucket", text), Err(NotOurs::Elsewhere), "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "git.example.com/a",
            "//git.example.com/a",
            "https:/git.example.com/a",
            "https:///git.example.com/a",
            "https://",
            "https:///",
            "HTTPS://git.example.com/a",
            "Https://git.example.com/a",
            "ssh://git@git.example.com/a",
            "git@git.example.com:acme/a",
            "git://git.example.com/a",
            "file:///etc/passwd",
            "ext::sh -c id",
            "https://git.example.com@evil.example/a",
            "https://evil.example@git.example.com/a",
            "https://:@git.example.com/a",
            "https://@git.example.com/a",
            "https://git.example.com:@evil.example/a",
            "https://Git.Example.com/a",
            "https://git.example.com./a",
            "https://git.example.com.:443/a",
            "https://git.example.com:/a",
            "https://git.example.com:0443/a",
            "https://git.example.com:+443/a",
            "https://git.example.com:0/a",
            "https://git.example.com:99999/a",
            "https://git.example.com:443:443/a",
            "https://git.example.com%2f@evil.example/a",
            "https://git.example.com%00.evil.example/a",
            "https://git%2Eexample.com/a",
            "https://%67it.example.com/a",
            "https://git.example.com\\@evil.example/a",
            "https://evil.example\\.git.example.com/a",
            "https:\\\\git.example.com\\a",
            "https://git.example.com?@evil.example/a",
            "https://git.example.com#@evil.example/a",
            "https://git.example.com/a?service=git-upload-pack",
            "https://git.example.com/a#b",
            "https://gıt.example.com/a",
            "https://git。example。com/a",
            "https://git.examplе.com/a",
            "https://ｇit.example.com/a",
            "https://git.example.com/a\nhost=evil.example",
            "https://git.example.com/a\rhost=evil.example",
            "https://git.example.com/a\0",
            "https://git.example.com/a%0ahost=evil.example",
            "https://git.example.com/a%0D",
            "https://git.example.com/a%00",
            "https://git.example.com\n.evil.example/",
            "\thttps://git.example.com/a",
            " https://git.example.com/a",
            "https://git.example.com/a ",
            "https://git.example.com/a b",
            "https://git.example.com/a%",
            "https://git.example.com/a%2",
            "https://git.example.com/a%zz",
            "https://git.example.com/a%2e%2e/b",
            "https://git.example.com/a%2fb",
            "https://git.example.com/a%5cb",
            "https://git.example.com/a%252fb",
            "https://git.example.com/../a",
            "https://git.example.com/a/../../b",
            "https://git.example.com/a/./b",
            "https://git.example.com//a",
            "https://git.example.com/a//b",
            "https://git.example.com/a//",
            "https://[git.example.com/a",
            "https://[::1]x/a",
        ] {
            assert_eq!(at("https://git.example.com", text), Err(NotOurs::Refused), "{text:?}");
        }
        for text in ["https://h/bitbucket/../admin", "https://h/bitbucket%2f", "https://h/%62itbucket/%2e%2e"]
        {
            assert_eq!(at("https://h/bitbucket", text), Err(NotOurs::Refused), "{text:?}");
        }
        assert_eq!(
            at("https://git.example.com", &format!("https://git.example.com/{}", "a".repeat(2048))),
            Err(NotOurs::Refused)
        );
    }
}
