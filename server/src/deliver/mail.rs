//! The way to the operator's mail server. A connection for each mail, encrypted unless it stays on this machine.
//!
//! Every step is taken apart, because it matters which one failed: a mail server that does not let us in says nothing about
//! the mail; one that refuses the mail does; and once it has taken the mail, nothing that follows makes it be sent again.

use std::{error::Error, fmt, io, time::Duration};

use lettre::{
    Address, Message,
    message::{Mailbox, MultiPart, SinglePart, header},
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        extension::ClientId,
    },
};
use url::Url;

use super::message::Mail;
use crate::{clock::Timestamp, secret::Secret};

/// Until there is a connection, with its encryption.
const CONNECT: Duration = Duration::from_secs(10);
/// Until the mail server has taken a mail.
const SEND: Duration = Duration::from_secs(30);
/// Nobody waits longer for a farewell.
const FAREWELL: Duration = Duration::from_secs(2);
/// Of an address (RFC 5321, 4.5.3.1.3, without the brackets).
const LONGEST_ADDRESS: usize = 254;
/// Replies that mean: not before you have signed in, or: not with these credentials (RFC 4954, section 6).
const SIGN_IN_REPLIES: [u16; 5] = [530, 534, 535, 538, 454];

/// How the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Security {
    /// From its beginning.
    Tls,
    /// From its second sentence; without encryption nothing further is said.
    StartTls,
    /// Not; only on this machine.
    None,
}

impl Security {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Tls, Self::StartTls, Self::None];

    /// For the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
            Self::None => "none",
        }
    }

    /// The usual port (RFC 8314; RFC 5321).
    pub const fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// How mail is sent.
#[derive(Clone)]
pub struct MailServer {
    /// Its name, which its certificate must have, or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// Whom it lets send, where it wants to know.
    pub sign_in: Option<(String, Secret)>,
    /// The sender.
    pub from: Mailbox,
    /// Certificates to trust besides the system's, as PEM.
    pub roots: Vec<u8>,
}

/// Why a mail is not on its way. In words for the person who waits for it; never the mail server's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MailFault {
    /// Nobody there, or the connection ended early.
    Connection,
    /// It took too long.
    Silence,
    /// No encryption, or a certificate that is not trusted.
    Trust,
    /// It does not let us in.
    SignIn,
    /// Not now, with this reply.
    Later(u16),
    /// Not this mail, ever, with this reply.
    Refused(u16),
    /// It does not speak SMTP.
    Nonsense,
    /// The mail could not be put together.
    Unfit,
}

impl fmt::Display for MailFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("no connection to the mail server, or it was lost"),
            Self::Silence => f.write_str("the mail server took too long"),
            Self::Trust => f.write_str("no encrypted connection to the mail server"),
            Self::SignIn => f.write_str("the mail server does not let Gitward in"),
            Self::Later(code) => write!(f, "the mail server asked to come back later ({code})"),
            Self::Refused(code) => write!(f, "the mail server refused the mail ({code})"),
            Self::Nonsense => f.write_str("the mail server's answer made no sense"),
            Self::Unfit => f.write_str("the mail could not be put together"),
        }
    }
}

impl MailFault {
    /// Whether trying again makes no sense.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unfit)
    }
}

/// Why mail can't be sent at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MailerError {
    /// The extra certificates.
    #[error("the extra certificates are not certificates in PEM form")]
    Roots,
    /// All the rest.
    #[error("encryption could not be set up")]
    Tls,
}

/// Sends mails.
pub struct Mailer {
    server: MailServer,
    tls: Option<TlsParameters>,
    hello: ClientId,
    public_url: Url,
    patience: Patience,
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) send: Duration,
}

impl Mailer {
    /// For this server; mails come from, and lead to, `public_url`.
    ///
    /// # Errors
    /// [`MailerError`].
    pub fn new(server: MailServer, public_url: Url) -> Result<Self, MailerError> {
        Self::with_patience(server, public_url, Patience { connect: CONNECT, send: SEND })
    }

    pub(super) fn with_patience(
        server: MailServer,
        public_url: Url,
        patience: Patience,
    ) -> Result<Self, MailerError> {
        let tls = match server.security {
            Security::None => None,
            Security::Tls | Security::StartTls => {
                let mut tls = TlsParameters::builder(server.host.clone());
                if !server.roots.is_empty() {
                    tls = tls.add_root_certificate(
                        Certificate::from_pem(&server.roots).map_err(|_| MailerError::Roots)?,
                    );
                }
                // Of certificates that are none, some are only noticed here.
                let problem = if server.roots.is_empty() { MailerError::Tls } else { MailerError::Roots };
                Some(tls.build().map_err(|_| problem)?)
            }
        };
        let hello = ClientId::Domain(domain(&public_url).to_owned());
        Ok(Self { server, tls, hello, public_url, patience })
    }

    /// Where people find Gitward.
    pub fn public_url(&self) -> &Url {
        &self.public_url
    }

    /// Sends a mail. `id` is part of its message id: the same mail has the same at each attempt, so that whoever gets it
    /// twice can tell.
    ///
    /// # Errors
    /// [`MailFault`]; if it is final, trying again makes no sense.
    pub async fn send(&self, to: &Address, id: &str, mail: &Mail, now: Timestamp) -> Result<(), MailFault> {
        let message = self.message(to, id, mail, now).ok_or(MailFault::Unfit)?;
        let mut connection = tokio::time::timeout(self.patience.connect, self.connect())
            .await
            .map_err(|_| MailFault::Silence)??;
        let (envelope, bytes) = (message.envelope(), message.formatted());
        let sent = tokio::time::timeout(self.patience.send, connection.send(envelope, &bytes)).await;
        match sent {
            Ok(sent) => sent.map_err(|error| fault(&error))?,
            Err(_) => return Err(MailFault::Silence),
        };
        // It has the mail: whether it says goodbye does not matter.
        tokio::time::timeout(FAREWELL, connection.quit()).await.ok();
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailFault> {
        let MailServer { host, port, security, sign_in, .. } = &self.server;
        let from_the_beginning = self.tls.clone().filter(|_| *security == Security::Tls);
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (host.as_str(), *port),
            Some(self.patience.connect),
            &self.hello,
            from_the_beginning,
            None,
        )
        .await
        .map_err(|error| unconcerned(fault(&error)))?;
        if let (Security::StartTls, Some(tls)) = (security, &self.tls) {
            if !connection.can_starttls() {
                return Err(MailFault::Trust);
            }
            connection
                .starttls(tls.clone(), &self.hello)
                .await
                .map_err(|error| unconcerned(fault(&error)))?;
        }
        if let Some((user, password)) = sign_in {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(|error| {
                match fault(&error) {
                    MailFault::Refused(_) | MailFault::Later(_) | MailFault::Nonsense => MailFault::SignIn,
                    other => other,
                }
            })?;
        }
        Ok(connection)
    }

    fn message(&self, to: &Address, id: &str, mail: &Mail, now: Timestamp) -> Option<Message> {
        let settings = self.public_url.join(app::path::NOTICE_SETTINGS).ok()?;
        let both = MultiPart::alternative()
            // Nothing that is not its own can look like it: bodies are encoded.
            .boundary(format!("=_{id}"))
            .singlepart(SinglePart::plain(mail.text.clone()))
            .singlepart(SinglePart::html(mail.html.clone()));
        let message = Message::builder()
            .from(self.server.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(mail.subject.clone())
            .date(now.calendar()?.into())
            .message_id(Some(format!("<{id}@{}>", domain(&self.public_url))))
            // No answers from machines on holiday (RFC 3834).
            .raw_header(raw("Auto-Submitted", "auto-generated")?);
        let message = match mail.is_chosen {
            // A way to end it (RFC 2369).
            true => message.raw_header(raw("List-Unsubscribe", &format!("<{settings}>"))?),
            false => message,
        };
        message.multipart(both).ok()
    }
}

fn raw(name: &str, value: &str) -> Option<header::HeaderValue> {
    let name = header::HeaderName::new_from_ascii(name.to_owned()).ok()?;
    Some(header::HeaderValue::new(name, value.to_owned()))
}

fn domain(public_url: &Url) -> &str {
    public_url.host_str().unwrap_or("localhost")
}

/// An address that mail can be sent to: plain letters, as every mail server takes them.
pub fn address(text: &str) -> Option<Address> {
    let text = text.trim();
    let plain = text.len() <= LONGEST_ADDRESS
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains(['"', '(', ')', '<', '>', ',', ';', ':', '\\', '[', ']']);
    plain.then(|| text.parse().ok()).flatten()
}

/// What a failure means.
fn fault(error: &lettre::transport::smtp::Error) -> MailFault {
    if let Some(code) = error.status() {
        let code = u16::from(code);
        if SIGN_IN_REPLIES.contains(&code) {
            return MailFault::SignIn;
        }
        // 421 says that it closes the connection.
        return if error.is_permanent() { MailFault::Refused(code) } else { MailFault::Later(code) };
    }
    // The TLS library reports certificates and nonsense as invalid data.
    if error.is_tls() || io_kind(error) == Some(io::ErrorKind::InvalidData) {
        return MailFault::Trust;
    }
    if error.is_timeout() {
        return MailFault::Silence;
    }
    if error.is_response() && !ended_early(error) {
        return MailFault::Nonsense;
    }
    if error.is_client() {
        return MailFault::SignIn;
    }
    MailFault::Connection
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return Some(cause.kind());
        }
        next = cause.source();
    }
    None
}

/// The library says so when a connection ends where an answer should be.
fn ended_early(error: &lettre::transport::smtp::Error) -> bool {
    error.source().is_some_and(|source| source.to_string() == "incomplete response")
}

/// Before there was a mail: no reply is about it.
fn unconcerned(fault: MailFault) -> MailFault {
    match fault {
        MailFault::Refused(code) => MailFault::Later(code),
        other => other,
    }
}
