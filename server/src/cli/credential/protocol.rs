//! What Git and its credential helpers say to each other: lines of `key=value`
//! (<https://git-scm.com/docs/git-credential#IOFMT>). No line of an answer holds anything that could pass for another
//! line, and whatever can be read in two ways gets none.
//!
//! Rules from what went wrong elsewhere: line feeds in a value made Git send one host's secret to another
//! (CVE-2020-5260; carriage returns: CVE-2024-52006, CVE-2026-82249 in gitoxide), an empty host matched any
//! (CVE-2020-11008), an encoded line end became a real one (CVE-2024-53263, CVE-2024-50338).

use zeroize::Zeroizing;

use crate::wire::Scheme;

/// Git sends a few hundred bytes. Passwords may be long tokens.
pub const LONGEST: usize = 128 * 1024;

/// What this helper leaves with Git, to recognise its own secrets by.
const STATE: &str = "gitward.version=";

/// What Git asks for, or tells.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// `https`, or `http`.
    pub protocol: String,
    /// The host, with its port if it is not the usual one.
    pub host: String,
    /// With `credential.useHttpPath`: the repository, decoded.
    pub path: Option<String>,
    /// The user name, if Git knows one.
    pub username: Option<String>,
    /// Git understands `authtype` and `credential`.
    pub authtype: bool,
    /// Git gives back what it was given as `state[]`.
    pub state: bool,
    /// The version of the secret that this helper gave.
    pub version: Option<String>,
}

/// Why a request gets no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// Not lines of `key=value`, or something hidden in them.
    #[error("Git's request can't be understood safely, so it gets no answer")]
    Malformed,
    /// Not over HTTP, or without a host.
    #[error("only addresses with http or https and a host get an answer")]
    NotHttp,
}

impl Request {
    /// Reads a request up to the empty line or the end.
    ///
    /// # Errors
    /// [`Refused`]; never panics, whatever the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > LONGEST {
            return Err(Refused::Malformed);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Refused::Malformed)?;
        let mut request = Self::default();
        let (mut protocol, mut host) = (None, None);
        for line in text.split('\n') {
            if line.is_empty() {
                break;
            }
            let (key, value) = line.split_once('=').ok_or(Refused::Malformed)?;
            if key.is_empty() || line.contains(hides) {
                return Err(Refused::Malformed);
            }
            match key {
                "protocol" => once(&mut protocol, value)?,
                "host" => once(&mut host, value)?,
                "path" => once(&mut request.path, value)?,
                "username" => once(&mut request.username, value)?,
                // Takes the place of all of those; only people write it.
                "url" => return Err(Refused::Malformed),
                "capability[]" => {
                    request.authtype |= value == "authtype";
                    request.state |= value == "state";
                }
                "state[]" => {
                    if let Some(version) = value.strip_prefix(STATE) {
                        once(&mut request.version, version)?;
                    }
                }
                // Those are secrets, or of no interest.
                _ => {}
            }
        }
        request.protocol = protocol.unwrap_or_default();
        request.host = host.unwrap_or_default();
        if !matches!(request.protocol.as_str(), "https" | "http") {
            return Err(Refused::NotHttp);
        }
        let of_a_host =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b':' | b'[' | b']');
        if request.host.is_empty() || !request.host.bytes().all(of_a_host) {
            return Err(Refused::NotHttp);
        }
        Ok(request)
    }

    /// The address, each byte of the path that does not stand for itself encoded.
    pub fn url(&self) -> String {
        let mut url = format!("{}://{}", self.protocol, self.host);
        let Some(path) = &self.path else { return url };
        url.push('/');
        for byte in path.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/@!$&'()*+,;=:".contains(&byte) {
                url.push(char::from(byte));
            } else {
                url.push_str(&format!("%{byte:02X}"));
            }
        }
        url
    }
}

/// Ends a line somewhere, or hides one.
fn hides(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// Whoever says something twice means two things.
fn once(field: &mut Option<String>, value: &str) -> Result<(), Refused> {
    match field.replace(value.to_owned()) {
        None => Ok(()),
        Some(_) => Err(Refused::Malformed),
    }
}

/// A secret on its way to Git. Never a refresh token: there is no field for one.
pub struct Answer<'a> {
    /// The user name.
    pub username: &'a str,
    /// The secret.
    pub password: &'a str,
    /// How it is shown.
    pub scheme: Scheme,
    /// When it ends: seconds since 1970, by this machine's clock, which is Git's too.
    pub ends_at: Option<i64>,
    /// Which one it is.
    pub version: &'a str,
}

impl Answer<'_> {
    /// The lines. `None` if one of the values could pass for another line.
    pub fn lines(&self, request: &Request) -> Option<Zeroizing<String>> {
        let values = [self.username, self.password, self.version];
        if values.iter().any(|value| value.is_empty() || value.contains(hides)) {
            return None;
        }
        // Room for all of it, so that it never moves and leaves a copy behind.
        let mut lines = Zeroizing::new(String::with_capacity(
            256 + values.iter().map(|value| value.len()).sum::<usize>(),
        ));
        if request.authtype {
            lines.push_str("capability[]=authtype\n");
        }
        if request.state {
            lines.push_str("capability[]=state\n");
        }
        if request.authtype && self.scheme == Scheme::Bearer {
            lines.push_str("authtype=Bearer\ncredential=");
            lines.push_str(self.password);
        } else {
            lines.push_str("username=");
            lines.push_str(self.username);
            lines.push_str("\npassword=");
            lines.push_str(self.password);
        }
        lines.push('\n');
        if let Some(at) = self.ends_at {
            lines.push_str(&format!("password_expiry_utc={at}\n"));
        }
        if request.state {
            lines.push_str("state[]=");
            lines.push_str(STATE);
            lines.push_str(self.version);
            lines.push('\n');
        }
        Some(lines)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORDINARY: &str = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example.com\n\
                            path=acme/gitops.git\nwwwauth[]=Basic realm=\"Git\"\n\n";

    fn parse(text: impl AsRef<[u8]>) -> Result<Request, Refused> {
        Request::parse(text.as_ref())
    }

    fn answer<'a>(username: &'a str, password: &'a str, scheme: Scheme) -> Answer<'a> {
        Answer { username, password, scheme, ends_at: Some(1_800_000_000), version: "v1" }
    }

    #[test]
    fn an_ordinary_request_of_git_is_understood() {
        let request = parse(ORDINARY).unwrap();
        assert_eq!(request.url(), "https://git.example.com/acme/gitops.git");
        assert!(request.authtype && request.state);
        assert_eq!((request.username, request.version), (None, None));
        // An older Git, without paths and capabilities, and an end without an empty line.
        let request = parse("protocol=http\nhost=127.0.0.1:8080\nusername=mara\n").unwrap();
        assert_eq!(request.url(), "http://127.0.0.1:8080");
        assert_eq!(request.username.as_deref(), Some("mara"));
        assert!(!request.authtype && !request.state);
    }

    #[test]
    fn what_this_helper_left_comes_back_and_what_others_left_is_passed_over() {
        let left = "protocol=https\nhost=h\nstate[]=other.x=1\nstate[]=gitward.version=abc\npassword=p=q\n";
        assert_eq!(parse(left).unwrap().version.as_deref(), Some("abc"));
        assert_eq!(parse("protocol=https\nhost=h\nstate[]=othergitward.version=1\n").unwrap().version, None);
    }

    #[test]
    fn a_path_is_encoded_byte_by_byte() {
        let request = parse("protocol=https\nhost=h\npath=a b/ü%2f?x#y\n").unwrap();
        assert_eq!(request.url(), "https://h/a%20b/%C3%BC%252f%3Fx%23y");
    }

    /// What went wrong elsewhere.
    const ATTACKS: &[&[u8]] = &[
        // CVE-2020-5260: a line feed in a value, as an old Git passes it on, names a second host.
        b"protocol=https\nhost=evil.example\nhost=github.com\n\n",
        b"protocol=https\nhost=github.com\nhost=evil.example\n\n",
        b"protocol=https\nprotocol=http\nhost=github.com\n\n",
        b"protocol=https\nhost=github.com\npath=a\npath=b\n\n",
        b"protocol=https\nhost=github.com\nusername=a\nusername=b\n\n",
        // CVE-2020-11008: no host, an empty one, no protocol, no value, a stray line.
        b"protocol=https\nhost=\n\n",
        b"protocol=https\n\n",
        b"protocol=\nhost=github.com\n\n",
        b"host=github.com\n\n",
        b"protocol=https\nhost=github.com\npath\n\n",
        b"protocol=https\nhost\n\n",
        b"=https\nhost=github.com\n\n",
        b"",
        b"\n",
        b"\nprotocol=https\nhost=github.com\n",
        b"url=https://github.com\n\n",
        b"protocol=https\nhost=github.com\nurl=https://evil.example\n\n",
        // CVE-2024-52006, CVE-2024-50338: a carriage return that some helpers take for the end of a line.
        b"protocol=https\nhost=github.com\r\n\n",
        b"protocol=https\r\nhost=github.com\r\n\r\n",
        b"protocol=https\nhost=github.com\rhost=evil.example\n\n",
        b"protocol=https\nhost=github.com\npath=a\rhost=evil.example\n\n",
        b"protocol=https\nhost=github.com\nusername=a\rpassword=b\n\n",
        b"protocol=https\nhost=github.com\nx=\r\n\n",
        // CVE-2026-82249: the same, also in a key.
        b"protocol=https\nhost=github.com\nuser\rhost=evil.example\n\n",
        b"protocol=https\nhost=github.com\npath=acme/gitops.git\r\n\n",
        // CVE-2024-53263: encoded line ends in the host, never decoded here; nor may they be in a host at all.
        b"protocol=https\nhost=github.com%0d%0ahost=evil.example\n\n",
        b"protocol=https\nhost=github.com%0aevil.example\n\n",
        // NUL, escape sequences, separators of Unicode.
        b"protocol=https\nhost=github.com\0.evil.example\n\n",
        b"protocol=https\nhost=github.com\npath=a\0b\n\n",
        b"protocol=https\nhost=github.com\npath=\x1b[2Jb\n\n",
        b"protocol=https\nhost=github.com\npath=a\xe2\x80\xa8b\n\n",
        b"protocol=https\nhost=github.com\npath=a\xc2\x85b\n\n",
        b"protocol=https\nhost=github.com\npath=\xff\xfe\n\n",
        // Another host than it looks, and hosts that are none.
        b"protocol=https\nhost=github.com@evil.example\n\n",
        b"protocol=https\nhost=evil.example/github.com\n\n",
        b"protocol=https\nhost=github.com#.evil.example\n\n",
        b"protocol=https\nhost=github.com?.evil.example\n\n",
        b"protocol=https\nhost=github.com\\.evil.example\n\n",
        b"protocol=https\nhost=github.com evil.example\n\n",
        b"protocol=https\nhost=GitHub.com\n\n",
        "protocol=https\nhost=gıthub.com\n\n".as_bytes(),
        // Other protocols.
        b"protocol=ssh\nhost=github.com\n\n",
        b"protocol=file\nhost=github.com\n\n",
        b"protocol=cert\nhost=github.com\n\n",
        b"protocol=HTTPS\nhost=github.com\n\n",
        b"protocol=https \nhost=github.com\n\n",
    ];

    #[test]
    fn the_known_attacks_on_helpers_get_no_answer() {
        for attack in ATTACKS {
            assert!(Request::parse(attack).is_err(), "{:?}", String::from_utf8_lossy(attack));
        }
        assert_eq!(Request::parse(&vec![b'a'; LONGEST + 1]), Err(Refused::Malformed));
    }

    #[test]
    fn what_follows_the_empty_line_is_not_read() {
        let request = parse("protocol=https\nhost=github.com\n\nhost=evil.example\n").unwrap();
        assert_eq!(request.host, "github.com");
    }

    #[test]
    fn a_bearer_token_is_shown_as_one_only_where_git_can() {
        let new = parse(ORDINARY).unwrap();
        let old = parse("protocol=https\nhost=h\n").unwrap();
        assert_eq!(
            **answer("x", "s3cret", Scheme::Bearer).lines(&new).unwrap(),
            *"capability[]=authtype\ncapability[]=state\nauthtype=Bearer\ncredential=s3cret\n\
              password_expiry_utc=1800000000\nstate[]=gitward.version=v1\n"
        );
        for scheme in [Scheme::Bearer, Scheme::Basic] {
            assert_eq!(
                **answer("x", "s3cret", scheme).lines(&old).unwrap(),
                *"username=x\npassword=s3cret\npassword_expiry_utc=1800000000\n"
            );
        }
    }

    #[test]
    fn no_answer_holds_a_line_too_many() {
        let request = parse(ORDINARY).unwrap();
        for bad in ["", "a\nhost=evil.example", "a\rb", "a\0b", "a\u{85}b", "a\u{2028}b"] {
            assert!(answer(bad, "p", Scheme::Basic).lines(&request).is_none(), "{bad:?}");
            assert!(answer("u", bad, Scheme::Basic).lines(&request).is_none(), "{bad:?}");
            let versioned = Answer { version: bad, ..answer("u", "p", Scheme::Basic) };
            assert!(versioned.lines(&request).is_none(), "{bad:?}");
        }
    }

    /// Bytes that matter to the format, more often than chance would have them.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"protocol=https\n".to_vec()),
            Just(b"host=github.com\n".to_vec()),
            Just(b"path=".to_vec()),
            Just(b"username=".to_vec()),
            Just(b"capability[]=authtype\n".to_vec()),
            Just(b"state[]=gitward.version=".to_vec()),
            Just(b"%0a".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\0".to_vec()),
            Just(b"=".to_vec()),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// An attack or an ordinary request, with some bytes changed, taken out or put in, and another one behind it.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let seed = || prop_oneof![prop::sample::select(ATTACKS), Just(ORDINARY.as_bytes())];
        let change =
            (any::<prop::sample::Index>(), 0..3_u8, prop_oneof![any::<u8>(), Just(b'\n'), Just(b'=')]);
        (seed(), prop::collection::vec(change, 0..6), prop::option::of(seed())).prop_map(
            |(seed, changes, more)| {
                let mut bytes = seed.to_vec();
                for (at, how, byte) in changes {
                    let at = at.index(bytes.len() + 1);
                    match (how, at < bytes.len()) {
                        (0, true) => bytes[at] = byte,
                        (1, true) => drop(bytes.remove(at)),
                        _ => bytes.insert(at, byte),
                    }
                }
                bytes.extend_from_slice(more.unwrap_or_default());
                bytes
            },
        )
    }

    /// What is understood names one host, and nothing in it could pass for something else.
    fn is_safe(bytes: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(request) = Request::parse(bytes) {
            let head = bytes.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
            let hosts: Vec<_> = head.filter(|line| line.starts_with(b"host=")).collect();
            prop_assert_eq!(hosts.len(), 1);
            prop_assert_eq!(&hosts[0][5..], request.host.as_bytes());
            let url = url::Url::parse(&request.url()).ok();
            // What no parser of addresses takes is refused by the server as well.
            if let Some(url) = url {
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert!(url.query().is_none() && url.fragment().is_none());
                let host = url.host_str().unwrap_or_default();
                prop_assert!(
                    request.host.starts_with(host)
                        || host.parse::<std::net::Ipv4Addr>().is_ok()
                        || host.starts_with('['),
                    "{} {}",
                    host,
                    request.host
                );
            }
            prop_assert!(request.url().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Ok(())
    }

    /// Longer: `PROPTEST_CASES=10000000 cargo test soak_fuzz -- --ignored`. It keeps what broke it beside this file.
    #[test]
    #[ignore = "takes minutes: make soak"]
    fn soak_fuzz_the_parser_of_the_helper() {
        let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
        let config = ProptestConfig::with_cases(cases.unwrap_or(500_000));
        let mut runner = proptest::test_runner::TestRunner::new(config);
        runner.run(&prop_oneof![bytes(), mutated()], |bytes| is_safe(&bytes)).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn whatever_is_understood_names_one_host_and_hides_nothing(bytes in prop_oneof![bytes(), mutated()]) {
            is_safe(&bytes)?;
        }

        #[test]
        fn an_answer_is_read_back_as_it_was_meant(
            username in ".{1,20}", password in ".{1,60}", at in any::<Option<u32>>(), version in "[a-zA-Z0-9_-]{1,40}",
        ) {
            let request = parse(ORDINARY).unwrap();
            let ends_at = at.map(i64::from);
            let answer = Answer {
                username: &username, password: &password, scheme: Scheme::Basic, ends_at, version: &version,
            };
            if let Some(lines) = answer.lines(&request) {
                let whole = format!("protocol=https\nhost=h\n{}", lines.replace("capability[]=", "x="));
                let read = parse(&whole).unwrap();
                prop_assert_eq!(read.username.as_deref(), Some(username.as_str()));
                prop_assert_eq!(read.version.as_deref(), Some(version.as_str()));
                let passwords: Vec<_> =
                    lines.split('\n').filter_map(|line| line.strip_prefix("password=")).collect();
                prop_assert_eq!(passwords, vec![password.as_str()]);
            }
        }
    }
}
