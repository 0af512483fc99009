//! A target of webhooks that keeps what it is given, and has its bad days.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How it answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// With this status, and these headers.
    Status(u16, String),
    /// Never.
    Never,
    /// With a success, and a body that has no end to speak of.
    Endless,
    /// It takes the message and hangs up.
    HangsUp,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self::Status(status, String::new())
    }
}

/// A message as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Clone)]
pub(super) struct Hook {
    pub port: u16,
    answer: Arc<Mutex<Answer>>,
    messages: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    /// Bytes of endless bodies that somebody took.
    pub taken: Arc<AtomicU64>,
}

impl Hook {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let hook = Self {
            port: listener.local_addr().unwrap().port(),
            answer: Arc::new(Mutex::new(Answer::status(204))),
            messages: Arc::default(),
            connections: Arc::default(),
            taken: Arc::default(),
        };
        let serving = hook.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let hook = serving.clone();
                // Whoever hangs up ends it.
                tokio::spawn(async move { hook.serve(stream).await.ok() });
            }
        });
        hook
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=canary-in-the-url", self.port)
    }

    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn messages(&self) -> Vec<Received> {
        self.messages.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: HeaderMap = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let length =
            headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        self.messages.lock().unwrap().push(Received { path, headers, body });
        let answer = self.answer.lock().unwrap().clone();
        match answer {
            Answer::Status(status, headers) => {
                let text = "canary-of-the-webhook";
                let length = text.len();
                let answer = format!(
                    "HTTP/1.1 {status} Whatever\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{text}"
                );
                stream.write_all(answer.as_bytes()).await
            }
            Answer::Never => std::future::pending().await,
            Answer::HangsUp => Ok(()),
            Answer::Endless => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                loop {
                    let written = stream.write(&[b'x'; 65536]).await?;
                    self.taken.fetch_add(written as u64, Ordering::SeqCst);
                }
            }
        }
    }
}
