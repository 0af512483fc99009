//! Every address of the site.

/// The start page.
pub const HOME: &str = "/";
/// The list of runtimes and their tokens.
pub const TOKENS: &str = "/tokens";
/// Where a person signs in.
pub const SIGN_IN: &str = "/sign-in";
/// Where a person changes the password.
pub const PASSWORD: &str = "/password";
/// The first person's one-time link starts with this.
pub const SETUP: &str = "/setup";
/// Everybody else's one-time link starts with this.
pub const WELCOME: &str = "/welcome";
/// OAuth2 starts here (`POST`).
pub const CONNECT: &str = "/connect";
/// The provider sends people back here.
pub const CALLBACK: &str = "/callback";
/// What comes before the name of every server function.
pub const API: &str = "/api";

/// The page to add or replace the token of one runtime; also the dialog's address without script.
pub fn runtime(id: &str) -> String {
    format!("{TOKENS}/{id}")
}

/// The page that asks before a token is deleted.
pub fn delete(id: &str) -> String {
    format!("{TOKENS}/{id}/delete")
}

/// Where the form "Authorize access" goes.
pub fn connect(id: &str) -> String {
    format!("{CONNECT}/{id}")
}

/// The redirect URI of one provider, below the site's public address.
pub fn callback(provider: &str) -> String {
    format!("{CALLBACK}/{provider}")
}

/// The list, at the row of one runtime, saying what was done with it.
pub fn row(did: &str, runtime: &str) -> String {
    let runtime = encode(runtime);
    format!("{TOKENS}?did={did}&runtime={runtime}#{runtime}")
}

/// The sign-in page that leads back to `place` afterwards.
pub fn sign_in_then(place: &str) -> String {
    format!("{SIGN_IN}?then={}", encode(place))
}

/// `place` if it is an address on this site, else the list. Never leads to another host.
pub fn safe_place(place: &str) -> &str {
    let inside = place.starts_with('/')
        && !place.starts_with("//")
        && !place.contains(['\\', '\r', '\n', '\t'])
        && !place.starts_with(SIGN_IN);
    if inside { place } else { TOKENS }
}

/// Percent-encodes what must not stand in a query value.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(byte as char)
            }
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(HEX[usize::from(byte >> 4)] as char);
                out.push(HEX[usize::from(byte & 15)] as char);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_another_host_is_never_followed() {
        for place in
            ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb"]
        {
            assert_eq!(safe_place(place), TOKENS, "{place:?}");
        }
        assert_eq!(safe_place("/tokens/acme.prod?x=1"), "/tokens/acme.prod?x=1");
    }

    #[test]
    fn a_place_survives_the_query() {
        assert_eq!(sign_in_then("/tokens?q=a&b"), "/sign-in?then=/tokens%3Fq%3Da%26b");
    }
}
