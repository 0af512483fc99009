//! A mail server that keeps what it is given, and has its bad days.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use crate::deliver::mail::Security;

/// What it does with the next mails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mood {
    /// Takes them.
    Takes,
    /// Answers this command so.
    Answers(&'static str, u16),
    /// Says nothing in answer to this command; nothing at all where it is empty.
    Silent(&'static str),
    /// Hangs up instead of answering this command.
    HangsUp(&'static str),
    /// Takes the mail, and hangs up before it says so.
    TakesSilently,
    /// Takes the mail and says so, and hangs up instead of saying goodbye.
    TakesRudely,
    /// Talks nonsense.
    Babbles,
}

/// A mail as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub from: String,
    pub to: String,
    pub data: String,
    pub encrypted: bool,
    pub sign_in: Option<String>,
}

#[derive(Clone)]
pub(super) struct Smtp {
    pub port: u16,
    /// Its certificate, as PEM.
    pub certificate: Vec<u8>,
    mails: Arc<Mutex<Vec<Received>>>,
    mood: Arc<Mutex<Mood>>,
    connections: Arc<AtomicUsize>,
    /// What came before the connection was encrypted.
    plain: Arc<Mutex<Vec<String>>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Smtp {
    /// Listens on this machine, as `localhost`; lets `gitward` with `hunter2` in.
    pub async fn start(security: Security) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
        let smtp = Self {
            port: listener.local_addr().unwrap().port(),
            certificate: cert.pem().into_bytes(),
            mails: Arc::default(),
            mood: Arc::new(Mutex::new(Mood::Takes)),
            connections: Arc::default(),
            plain: Arc::default(),
        };
        let serving = smtp.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (smtp, acceptor) = (serving.clone(), acceptor.clone());
                smtp.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let stream: Box<dyn Stream> = match security {
                        Security::Tls => match acceptor.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                        Security::StartTls | Security::None => Box::new(stream),
                    };
                    // Whoever hangs up ends it.
                    smtp.converse(stream, acceptor, security).await.ok();
                });
            }
        });
        smtp
    }

    pub fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn mails(&self) -> Vec<Received> {
        self.mails.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn said_in_plain(&self) -> Vec<String> {
        self.plain.lock().unwrap().clone()
    }

    async fn converse(
        &self,
        mut stream: Box<dyn Stream>,
        acceptor: TlsAcceptor,
        security: Security,
    ) -> std::io::Result<()> {
        let mut encrypted = security == Security::Tls;
        let mut mail = Received {
            from: String::new(),
            to: String::new(),
            data: String::new(),
            encrypted,
            sign_in: None,
        };
        if self.acts("", &mut stream).await? {
            return Ok(());
        }
        say(&mut stream, "220 localhost ready").await?;
        loop {
            let line = line(&mut stream).await?;
            if !encrypted {
                self.plain.lock().unwrap().push(line.clone());
            }
            let command = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            if self.acts(&command, &mut stream).await? {
                return Ok(());
            }
            match command.as_str() {
                "EHLO" if security == Security::StartTls && !encrypted => {
                    say(&mut stream, "250-localhost\r\n250 STARTTLS").await?;
                }
                "EHLO" => say(&mut stream, "250-localhost\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN").await?,
                "STARTTLS" => {
                    say(&mut stream, "220 go ahead").await?;
                    stream = Box::new(acceptor.accept(stream).await?);
                    encrypted = true;
                }
                "AUTH" => {
                    let given = line.rsplit(' ').next().unwrap_or_default();
                    let given = String::from_utf8(BASE64_STANDARD.decode(given).unwrap()).unwrap();
                    let fits = given == "\0gitward\0hunter2";
                    mail.sign_in = fits.then(|| "gitward".to_owned());
                    say(
                        &mut stream,
                        if fits { "235 welcome" } else { "535 who are you? canary-of-the-mail-server" },
                    )
                    .await?;
                }
                "MAIL" => {
                    mail.from = line;
                    say(&mut stream, "250 fine").await?;
                }
                "RCPT" => {
                    mail.to = line;
                    say(&mut stream, "250 fine").await?;
                }
                "DATA" => {
                    say(&mut stream, "354 go on").await?;
                    mail.data = data(&mut stream).await?;
                    mail.encrypted = encrypted;
                    if self.acts(".", &mut stream).await? {
                        return Ok(());
                    }
                    self.mails.lock().unwrap().push(mail.clone());
                    let mood = *self.mood.lock().unwrap();
                    if mood == Mood::TakesSilently {
                        return Ok(());
                    }
                    say(&mut stream, "250 taken").await?;
                    if mood == Mood::TakesRudely {
                        return Ok(());
                    }
                }
                "QUIT" => return say(&mut stream, "221 bye").await,
                _ => say(&mut stream, "500 what?").await?,
            }
        }
    }

    /// What its mood makes it do at this command. `true`: that was all.
    async fn acts(&self, command: &str, stream: &mut Box<dyn Stream>) -> std::io::Result<bool> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Answers(at, code) if at == command => {
                // Its own words must not show anywhere.
                say(stream, &format!("{code} canary-of-the-mail-server")).await?;
                Ok(true)
            }
            Mood::Silent(at) if at == command => std::future::pending().await,
            Mood::HangsUp(at) if at == command => Ok(true),
            Mood::Babbles if command == "EHLO" => {
                say(stream, "HTTP/1.1 200 OK canary-of-the-mail-server").await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

async fn say(stream: &mut Box<dyn Stream>, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// Byte by byte: what follows belongs to somebody else.
async fn line(stream: &mut Box<dyn Stream>) -> std::io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8_lossy(&line).into_owned())
}

async fn data(stream: &mut Box<dyn Stream>) -> std::io::Result<String> {
    let mut data = Vec::new();
    while !data.ends_with(b"\r\n.\r\n") {
        data.push(stream.read_u8().await?);
    }
    data.truncate(data.len() - 3);
    Ok(String::from_utf8_lossy(&data).into_owned())
}
