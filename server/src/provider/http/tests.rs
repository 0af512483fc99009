//! Where nothing goes, what is asked there, and how long anything may take.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::*;

/// What a server does that no HTTP library would.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Misdeed {
    /// Takes the question and says nothing.
    Silence,
    /// Hangs up after the question.
    HangUp,
    /// Promises a hundred bytes, sends some, hangs up.
    HalfBody,
    /// Headers, then one byte every now and then, for ever.
    Drip,
    /// Headers, then bytes as fast as they are taken, for ever.
    Endless,
    /// Promises ten gigabytes.
    Huge,
    /// Something else than HTTP.
    Gibberish,
    /// Headers that never end.
    EndlessHeaders,
}

/// A server that does it, and counts who comes.
pub(in crate::provider) struct BadServer {
    pub url: Url,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl BadServer {
    pub(in crate::provider) async fn start(misdeed: Misdeed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (counter, seen) = (connections.clone(), requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(misbehave(stream, misdeed, seen.clone()));
            }
        });
        Self { url, connections, requests }
    }
}

/// A server that does it to some questions, and passes all others on to a good one.
pub(in crate::provider) struct BadDoor {
    pub url: Url,
    /// How often it was done.
    pub knocks: Arc<AtomicUsize>,
}

impl BadDoor {
    /// `is_bad`: whether it is done to the question that begins with these lines.
    pub(in crate::provider) async fn start(
        misdeed: Misdeed,
        behind: std::net::SocketAddr,
        is_bad: impl Fn(&str) -> bool + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let knocks = Arc::new(AtomicUsize::new(0));
        let counter = knocks.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (counter, is_bad) = (counter.clone(), is_bad.clone());
                tokio::spawn(async move {
                    let mut question = Vec::new();
                    while !question.windows(4).any(|end| end == b"\r\n\r\n") {
                        if stream.read_buf(&mut question).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    if is_bad(&String::from_utf8_lossy(&question)) {
                        counter.fetch_add(1, Ordering::SeqCst);
                        return commit(stream, misdeed).await;
                    }
                    // Each question comes on a connection of its own, or the next would pass unseen.
                    let line = question.windows(2).position(|end| end == b"\r\n").unwrap() + 2;
                    question.splice(line..line, *b"connection: close\r\n");
                    let mut good = TcpStream::connect(behind).await.unwrap();
                    good.write_all(&question).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut good).await;
                });
            }
        });
        Self { url, knocks }
    }
}

async fn misbehave(mut stream: TcpStream, misdeed: Misdeed, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = vec![0; 16 * 1024];
    let length = stream.read(&mut request).await.unwrap_or(0);
    seen.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
    commit(stream, misdeed).await;
}

/// After the question was read.
async fn commit(mut stream: TcpStream, misdeed: Misdeed) {
    let headers = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let _ = match misdeed {
        Misdeed::Silence => {
            std::future::pending::<()>().await;
            Ok(())
        }
        Misdeed::HangUp => Ok(()),
        Misdeed::HalfBody => {
            stream.write_all(&[headers.as_slice(), b"content-length: 100\r\n\r\n{\"id\":"].concat()).await
        }
        Misdeed::Drip => {
            let _ = stream.write_all(&[headers.as_slice(), b"\r\n"].concat()).await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        }
        Misdeed::Endless => {
            let _ = stream.write_all(&[headers.as_slice(), b"\r\n"].concat()).await;
            while stream.write_all(&[b' '; 16 * 1024]).await.is_ok() {}
            Ok(())
        }
        Misdeed::Huge => {
            let _ = stream
                .write_all(&[headers.as_slice(), b"content-length: 10000000000\r\n\r\n"].concat())
                .await;
            while stream.write_all(&[b' '; 16 * 1024]).await.is_ok() {}
            Ok(())
        }
        Misdeed::Gibberish => stream.write_all(b"220 mail.example.com ESMTP\r\n").await,
        Misdeed::EndlessHeaders => {
            let _ = stream.write_all(headers).await;
            while stream.write_all(b"x-more: and more and more\r\n").await.is_ok() {}
            Ok(())
        }
    };
}

fn hasty() -> HttpSettings {
    HttpSettings {
        connect_timeout: Duration::from_millis(200),
        timeout: Duration::from_millis(300),
        ..HttpSettings::default()
    }
}

fn get(url: &Url) -> Question {
    Question::new(Method::GET, url.clone(), "GET /")
}

async fn fault(outgoing: &Outgoing, url: &Url) -> Option<Fault> {
    outgoing.gate(url).unwrap().send(get(url)).await.err()
}

#[tokio::test]
async fn bad_servers_cost_little_and_are_told_apart() {
    let settings = hasty();
    let outgoing = Outgoing::new(&settings).unwrap();
    let silence = Fault::Silence(settings.timeout);
    let table = [
        (Misdeed::Silence, silence),
        (Misdeed::HangUp, Fault::Dropped),
        (Misdeed::HalfBody, Fault::Dropped),
        (Misdeed::Drip, silence),
        (Misdeed::Gibberish, Fault::Dropped),
    ];
    for (misdeed, expected) in table {
        let server = BadServer::start(misdeed).await;
        let start = Instant::now();
        assert_eq!(fault(&outgoing, &server.url).await, Some(expected), "{misdeed:?}");
        assert!(start.elapsed() < Duration::from_secs(3), "{misdeed:?} took {:?}", start.elapsed());
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "{misdeed:?}: asked once");
    }
    // With time enough, size is the limit.
    let outgoing = Outgoing::new(&HttpSettings::default()).unwrap();
    for misdeed in [Misdeed::Endless, Misdeed::Huge] {
        let server = BadServer::start(misdeed).await;
        assert_eq!(fault(&outgoing, &server.url).await, Some(Fault::TooLarge(256 * 1024)), "{misdeed:?}");
    }
    let server = BadServer::start(Misdeed::EndlessHeaders).await;
    assert_eq!(fault(&outgoing, &server.url).await, Some(Fault::Dropped));
}

#[tokio::test]
async fn nobody_there_is_told_from_nobody_trusted() {
    let outgoing = Outgoing::new(&hasty()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = Url::parse(&format!("http://{address}")).unwrap();
    assert_eq!(fault(&outgoing, &url).await, Some(Fault::Refused));

    let server = BadServer::start(Misdeed::Gibberish).await;
    let mut url = server.url.clone();
    url.set_scheme("https").unwrap();
    assert_eq!(fault(&outgoing, &url).await, Some(Fault::Trust));

    let server = BadServer::start(Misdeed::HangUp).await;
    let mut url = server.url.clone();
    url.set_scheme("https").unwrap();
    assert_eq!(fault(&outgoing, &url).await, Some(Fault::Unconnected));
}

#[tokio::test]
async fn a_gate_leads_to_its_origin_only() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let outgoing = Outgoing::new(&hasty()).unwrap();
    let gate = outgoing.gate(&server.url).unwrap();
    let port = server.url.port().unwrap();
    let elsewhere = [
        format!("http://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{}/", port ^ 1),
        format!("http://user@127.0.0.1:{port}/"),
        format!("http://:password@127.0.0.1:{port}/"),
        "https://api.example.com/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "data:,x".to_owned(),
    ];
    for url in elsewhere {
        let question = get(&Url::parse(&url).unwrap()).bearer(&Secret::new("opensesame"));
        assert_eq!(gate.send(question).await.err(), Some(Fault::Elsewhere), "{url}");
    }
    for token in ["two\nlines", "nul\0", "\u{7f}"] {
        let question = get(&server.url).bearer(&Secret::new(token));
        assert_eq!(gate.send(question).await.err(), Some(Fault::Unfit), "{token:?}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_question_says_who_asks_and_wants_json() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let outgoing = Outgoing::new(&hasty()).unwrap();
    let _ = outgoing.gate(&server.url).unwrap().send(get(&server.url)).await;
    let seen = server.requests.lock().unwrap().join("\n").to_lowercase();
    assert!(seen.contains(&format!("user-agent: {}\r\n", USER_AGENT.to_lowercase())), "{seen}");
    assert!(seen.contains("accept: application/json\r\n"), "{seen}");
    for unwanted in ["cookie", "referer", "accept-encoding", "authorization"] {
        assert!(!seen.contains(unwanted), "{seen}");
    }
}

/// A certificate whose key nobody has.
const ROOT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBjzCCATWgAwIBAgIUXG0wTalT54jnMXMiplzwDrQyWXEwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRR2l0d2FyZCB0ZXN0IHJvb3QwIBcNMjYxMTIyMTQzMzQxWhgP
MjEyNjEwMjkxNDMzNDFaMBwxGjAYBgNVBAMMEUdpdHdhcmQgdGVzdCByb290MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEy1ngilgCLkKfBIe+dw1jOlKcylPmgzJ6
XgNvhK6rLy/fz7yrZN+jRa4jyM5ZZdW9vjYzUs2xmVURFqpSqgDwPqNTMFEwHQYD
VR0OBBYEFMwVr8w9MhrPJuZII1VZO+8q2jhMMB8GA1UdIwQYMBaAFMwVr8w9MhrP
JuZII1VZO+8q2jhMMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIg
DScwQZvjqLxuyttAl/PFpPoCVLY42Ts5rzsA0poSkbECIQCnD/Uy0noy1w/ECsot
WcbZuG346xwIbMT1b8wJbUeEDQ==
-----END CERTIFICATE-----
";

#[test]
fn extra_certificates_have_to_be_some() {
    for roots in ["nonsense", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"] {
        let settings = HttpSettings { roots: roots.into(), ..HttpSettings::default() };
        assert!(Outgoing::new(&settings).is_err(), "{roots}");
    }
    let settings = HttpSettings { roots: ROOT.into(), ..HttpSettings::default() };
    assert!(Outgoing::new(&settings).is_ok());
}

/// Names that resolve to what a test wants, to something else each time.
struct Answers {
    rounds: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Answers {
    fn new(rounds: &[&[&str]]) -> Self {
        let parse = |round: &&[&str]| round.iter().map(|ip| ip.parse().unwrap()).collect();
        Self { rounds: rounds.iter().map(parse).collect(), asked: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Lookup for Answers {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let round = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.rounds[round % self.rounds.len()].clone())
    }
}

struct Nothing;

#[async_trait]
impl Lookup for Nothing {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("NXDOMAIN"))
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_leads_nowhere_forbidden() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let port = server.url.port().unwrap();
    // Plain http is for this machine, so the name asks for TLS; that there is none shows that it was reached.
    let url = Url::parse(&format!("https://git.example.com:{port}")).unwrap();
    let rounds: &[&[&str]] =
        &[&["127.0.0.1"], &["169.254.169.254"], &["fe80::1", "127.0.0.1"], &["::ffff:169.254.1.1"]];
    let outgoing = Outgoing::with_lookup(&hasty(), Arc::new(Answers::new(rounds))).unwrap();
    let expected = [Fault::Unconnected, Fault::Address, Fault::Unconnected, Fault::Address];
    for (round, expected) in expected.into_iter().enumerate() {
        assert_eq!(fault(&outgoing, &url).await, Some(expected), "round {round}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);

    let outgoing = Outgoing::with_lookup(&hasty(), Arc::new(Nothing)).unwrap();
    assert_eq!(fault(&outgoing, &url).await, Some(Fault::Name));
    let outgoing = Outgoing::with_lookup(&hasty(), Arc::new(Answers::new(&[&[]]))).unwrap();
    assert_eq!(fault(&outgoing, &url).await, Some(Fault::Name));
}

#[tokio::test]
async fn this_machine_is_known_without_asking() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let url = Url::parse(&format!("http://forge.localhost:{}", server.url.port().unwrap())).unwrap();
    let outgoing = Outgoing::with_lookup(&hasty(), Arc::new(Answers::new(&[&["203.0.113.7"]]))).unwrap();
    assert_eq!(fault(&outgoing, &url).await, Some(Fault::Dropped));
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

/// Addresses as an administrator, or somebody who wrote into the administrator's file, could write them.
#[test]
fn credentials_go_to_hosts_only_over_tls_and_never_to_link_local_addresses() {
    use OriginError::{Forbidden, Query, Scheme, Userinfo};
    let allowed = [
        "https://git.example.com",
        "https://git.example.com:8443/base",
        "https://10.0.0.7",
        "https://172.16.0.1",
        "https://192.168.1.1",
        "https://100.64.0.1",
        "https://127.0.0.1",
        "https://[::1]",
        "https://[fd12:3456::1]",
        "https://[2001:db8::1]",
        "https://8.8.8.8",
        "https://[::ffff:10.0.0.1]",
        "https://[64:ff9b::808:808]",
        "https://[2002:808:808::1]",
        "http://localhost:4001",
        "http://LOCALHOST",
        "http://localhost.",
        "http://forge.localhost",
        "http://127.0.0.1",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://0177.0.0.1",
        "http://127.255.255.254",
        "http://[::1]",
        "http://[::ffff:127.0.0.1]",
    ];
    let refused = [
        ("http://git.example.com", Scheme),
        ("http://10.0.0.7", Scheme),
        ("http://localhost.example.com", Scheme),
        ("http://notlocalhost", Scheme),
        ("http://127.0.0.1.nip.io", Scheme),
        ("http://[fd12::1]", Scheme),
        ("ftp://localhost", Scheme),
        ("ws://localhost", Scheme),
        ("https://user@git.example.com", Userinfo),
        ("https://user:password@git.example.com", Userinfo),
        ("https://:password@git.example.com", Userinfo),
        ("https://git.example.com@169.254.169.254", Userinfo),
        ("https://git.example.com?x=1", Query),
        ("https://git.example.com#x", Query),
        ("https://0.0.0.0", Forbidden),
        ("https://0", Forbidden),
        ("https://0.1.2.3", Forbidden),
        ("https://169.254.169.254", Forbidden),
        ("http://169.254.169.254", Forbidden),
        ("https://169.254.170.2", Forbidden),
        ("https://169.254.0.0", Forbidden),
        ("https://169.254.255.255", Forbidden),
        ("https://2852039166", Forbidden),
        ("https://0xa9fea9fe", Forbidden),
        ("https://0xA9.0xFE.0xA9.0xFE", Forbidden),
        ("https://0251.0376.0251.0376", Forbidden),
        ("https://025177524776", Forbidden),
        ("https://169.254.43518", Forbidden),
        ("https://169.16689662", Forbidden),
        ("https://0xa9.254.0251.254", Forbidden),
        ("https://169.254.169.254.", Forbidden),
        ("https://169。254。169。254", Forbidden),
        ("https://１６９.254.169.254", Forbidden),
        ("https://①⑥⑨.②⑤④.①⑥⑨.②⑤④", Forbidden),
        ("https://169%2E254%2E169%2E254", Forbidden),
        ("https://%31%36%39.254.169.254", Forbidden),
        ("https:\\\\169.254.169.254", Forbidden),
        ("https:169.254.169.254", Forbidden),
        ("https://192.0.0.192", Forbidden),
        ("https://100.100.100.200", Forbidden),
        ("https://168.63.129.16", Forbidden),
        ("https://224.0.0.1", Forbidden),
        ("https://239.255.255.255", Forbidden),
        ("https://240.0.0.1", Forbidden),
        ("https://255.255.255.255", Forbidden),
        ("https://[::]", Forbidden),
        ("https://[fe80::1]", Forbidden),
        ("https://[febf:ffff::1]", Forbidden),
        ("https://[ff02::1]", Forbidden),
        ("https://[ff0e::1]", Forbidden),
        ("https://[fd00:ec2::254]", Forbidden),
        ("https://[fd20:ce::254]", Forbidden),
        ("https://[fd00:42::42]", Forbidden),
        ("https://[fd00:a9fe:a9fe::1]", Forbidden),
        ("https://[::ffff:169.254.169.254]", Forbidden),
        ("https://[::ffff:a9fe:a9fe]", Forbidden),
        ("https://[0:0:0:0:0:ffff:a9fe:a9fe]", Forbidden),
        ("https://[::ffff:0.0.0.0]", Forbidden),
        ("https://[::ffff:224.0.0.1]", Forbidden),
        ("https://[::169.254.169.254]", Forbidden),
        ("https://[::ffff:0:169.254.169.254]", Forbidden),
        ("https://[64:ff9b::169.254.169.254]", Forbidden),
        ("https://[64:ff9b:1::a9fe:a9fe]", Forbidden),
        ("https://[2002:a9fe:a9fe::1]", Forbidden),
        ("https://[2002:0:1::]", Forbidden),
        ("https://[2001:0:a9fe:a9fe::1]", Forbidden),
        ("https://[2001:0:808:808::5601:5601]", Forbidden),
        ("https://[2001:db8::5efe:169.254.169.254]", Forbidden),
        ("https://[2001:db8::200:5efe:a9fe:a9fe]", Forbidden),
    ];
    for url in allowed {
        assert_eq!(check_base(&Url::parse(url).unwrap(), false), Ok(()), "{url}");
    }
    for (url, expected) in refused {
        assert_eq!(check_base(&Url::parse(url).unwrap(), false), Err(expected), "{url}");
    }
    // Not even addresses.
    for url in [
        "https://",
        "https://[fe80::1%25eth0]",
        "https://[::ffff:169.254.169.254",
        "https://169.254.169.256",
        "https://0xa9fea9fe0",
        "https://git.example.com:99999",
        "https://git example.com",
        "https://git.exa\0mple.com",
    ] {
        assert!(Url::parse(url).is_err(), "{url}");
    }
    for url in
        ["file:///etc/passwd", "data:text/plain,x", "javascript:1", "mailto:a@example.com", "unix:/run/x"]
    {
        assert!(check_base(&Url::parse(url).unwrap(), false).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_proxy_carries_tunnels_only_and_this_machine_needs_none() {
    let proxy = BadServer::start(Misdeed::HangUp).await;
    let local = BadServer::start(Misdeed::HangUp).await;
    let settings = HttpSettings { proxy: Some(proxy.url.clone()), ..hasty() };
    // The proxy finds the address: nobody is asked here.
    let outgoing = Outgoing::with_lookup(&settings, Arc::new(Nothing)).unwrap();
    let token = Secret::new("opensesame");

    let url = Url::parse("https://git.example.com").unwrap();
    let gate = outgoing.gate(&url).unwrap();
    assert!(gate.send(get(&url).bearer(&token)).await.is_err());
    let seen = proxy.requests.lock().unwrap().join("\n");
    assert!(seen.starts_with("CONNECT git.example.com:443 "), "{seen}");
    assert!(!seen.contains(token.expose()), "{seen}");

    let gate = outgoing.gate(&local.url).unwrap();
    assert!(gate.send(get(&local.url).bearer(&token)).await.is_err());
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 1);
    assert_eq!(local.connections.load(Ordering::SeqCst), 1);
}
