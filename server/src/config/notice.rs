//! `[mail]`, `[notices]`, `[[account.webhook]]` and `[[account.mail]]`: how notices leave.

use std::net::IpAddr;

use lettre::message::Mailbox;

use super::{
    file::{Section, choice},
    name,
    provider::{CaCertificates, Known, ca},
    secret::secret,
};
use crate::{
    deliver::{
        WebhookFormat,
        courier::DeclaredWebhook,
        mail::{self, Security},
        webhook::{self, Target},
    },
    id::AccountId,
    secret::Secret,
};

#[cfg(test)]
mod tests;

pub(super) const MAIL_KEYS: &[&str] =
    &["host", "port", "security", "user", "password", "password_file", "from", "ca_file"];
pub(super) const NOTICES_KEYS: &[&str] = &["allow_private_webhooks"];
pub(super) const WEBHOOK_KEYS: &[&str] = &["name", "url", "url_file", "secret", "secret_file", "format"];
pub(super) const MAILBOX_KEYS: &[&str] = &["name", "address"];

/// `[mail]`: the server that takes Gitward's mail.
#[derive(Clone)]
pub struct MailConfig {
    /// `host`: its name, as its certificate has it.
    pub host: String,
    /// `port`; unless said otherwise 465, with `starttls` 587, with `none` 25.
    pub port: u16,
    /// `security`: `"tls"` unless said otherwise, `"starttls"`, or `"none"`, which is for this machine only.
    pub security: Security,
    /// `user`, and `password_file` or `password`: where it wants to know who sends.
    pub sign_in: Option<(String, Secret)>,
    /// `from`: the sender, `"gitward@example.com"` or `"Gitward <gitward@example.com>"`.
    pub from: Mailbox,
    /// `ca_file`: certificates in PEM form to trust for it, in addition to the system's.
    pub ca: Option<CaCertificates>,
}

/// `[[account.webhook]]`: where an account's notices go, besides to their users. `name` tells them apart; `url` (or
/// `url_file`, for one that is a secret); `format`: `"standard"` unless said otherwise, or `"slack"`; `secret_file` (or
/// `secret`): what messages in the format `standard` are signed with, `whsec_` and 24 to 64 random bytes in base64.
#[derive(Clone)]
pub struct WebhookConfig {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: String,
    /// All else.
    pub webhook: DeclaredWebhook,
}

/// `[[account.mail]]`: a mailbox where an account's notices go, besides to their users. `name` tells them apart.
#[derive(Clone)]
pub struct MailboxConfig {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: String,
    /// `address`: the operator's word is enough, nobody confirms it.
    pub address: String,
}

/// `None` only after noting a problem.
pub(super) fn mail(root: &Section<'_>) -> Option<Option<MailConfig>> {
    if !root.has("mail") {
        return Some(None);
    }
    let section = &root.section("mail", MAIL_KEYS)?;
    let security = name::optional(section, "security", parse_security);
    let host = section.required("host", "write `host = \"smtp.example.com\"`").and_then(|field| {
        let host = field.parse(parse_host)?;
        if security == Some(Some(Security::None)) && !is_this_machine(&host) {
            field.reject(
                "is another machine: mail goes there encrypted; write `security = \"tls\"` or `\"starttls\"`",
            );
            return None;
        }
        Some(host)
    });
    let port = section.port("port");
    let sign_in = sign_in(section);
    let from = section
        .required("from", "write `from = \"Gitward <gitward@example.com>\"`")
        .and_then(|field| field.parse(parse_from));
    let ca = ca(section);
    let security = security?.unwrap_or(Security::Tls);
    Some(Some(MailConfig {
        host: host?,
        port: port?.unwrap_or(security.port()),
        security,
        sign_in: sign_in?,
        from: from?,
        ca: ca?,
    }))
}

/// `[notices]`, `allow_private_webhooks`: webhooks of users and accounts may be on this machine and in private networks.
/// `false` unless said otherwise: users name them, and what only this machine can reach is not theirs to reach.
pub(super) fn allow_private_webhooks(root: &Section<'_>) -> Option<bool> {
    if !root.has("notices") {
        return Some(false);
    }
    Some(root.section("notices", NOTICES_KEYS)?.flag("allow_private_webhooks")?.unwrap_or(false))
}

pub(super) fn webhooks(account: &Section<'_>, id: Option<&AccountId>, private: bool) -> Vec<WebhookConfig> {
    let mut known = Known::new();
    let sections = account.sections("webhook", WEBHOOK_KEYS);
    sections.iter().filter_map(|section| one(section, id, private, &mut known)).collect()
}

fn one(
    section: &Section<'_>,
    account: Option<&AccountId>,
    private: bool,
    known: &mut Known<()>,
) -> Option<WebhookConfig> {
    let name = name::id(section, "name", "write `name = \"chat\"`", |name, field| known.add(name, field, ()));
    let format = name::optional(section, "format", parse_format).map(Option::unwrap_or_default);
    let url = url(section, private);
    let secret = match format? {
        WebhookFormat::Standard => {
            let secret = secret(section, "secret")?;
            if !webhook::is_signing_secret(&secret) {
                let field = section.text("secret").or_else(|| section.text("secret_file"))?;
                field.reject(
                    "does not hold a signing secret: `whsec_` and 24 to 64 random bytes in base64; make one with \
                     `echo whsec_$(openssl rand -base64 32)`",
                );
                return None;
            }
            Some(secret)
        }
        WebhookFormat::Slack => {
            if let Some(field) = section.text("secret").or_else(|| section.text("secret_file")) {
                field.reject("is not used with `format = \"slack\"`: remove it");
                return None;
            }
            None
        }
    };
    Some(WebhookConfig {
        account: account?.clone(),
        name: name?,
        webhook: DeclaredWebhook { target: Target { url: url?, secret }, format: format? },
    })
}

/// `sends`: there is a `[mail]`.
pub(super) fn mailboxes(account: &Section<'_>, id: Option<&AccountId>, sends: bool) -> Vec<MailboxConfig> {
    let mut known = Known::new();
    let sections = account.sections("mail", MAILBOX_KEYS);
    sections.iter().filter_map(|section| mailbox(section, id, sends, &mut known)).collect()
}

fn mailbox(
    section: &Section<'_>,
    account: Option<&AccountId>,
    sends: bool,
    known: &mut Known<()>,
) -> Option<MailboxConfig> {
    if !sends {
        let hint = "can't be sent: there is no `[mail]` that says through which server";
        section.file.reject(section.start(), section.name(), hint);
    }
    let name = name::id(section, "name", "write `name = \"team\"`", |name, field| known.add(name, field, ()));
    let address = section
        .required("address", "write `address = \"team@example.com\"`")
        .and_then(|field| field.parse(parse_address));
    Some(MailboxConfig { account: account?.clone(), name: name?, address: address? })
}

/// It may be a secret, so that refusals do not repeat it.
fn url(section: &Section<'_>, private: bool) -> Option<Secret> {
    let (field, url) = if section.has("url_file") {
        (section.text("url_file")?, secret(section, "url")?)
    } else {
        let hint = "write `url = \"https://…\"`, or `url_file` if the address is a secret";
        let field = section.required("url", hint)?;
        let url = field.parse(|text| Ok(Secret::new(text)))?;
        (field, url)
    };
    match webhook::fit(url.expose(), private) {
        Ok(url) => Some(Secret::new(url.as_str())),
        Err(webhook::Unfit::Private) => {
            field.reject("leads to a private network; `[notices] allow_private_webhooks = true` allows that");
            None
        }
        Err(unfit) => {
            field.reject(format!("is not a webhook's address: {unfit}"));
            None
        }
    }
}

fn sign_in(section: &Section<'_>) -> Option<Option<(String, Secret)>> {
    let has_password = section.has("password") || section.has("password_file");
    let Some(user) = section.text("user") else {
        if has_password && !section.has("user") {
            section.file.reject(section.start(), section.key("user"), "is missing next to the password");
            return None;
        }
        return if section.has("user") { None } else { Some(None) };
    };
    let user = user.parse(|text| match text.is_empty() || text.contains(char::is_control) {
        true => Err("is not a user's name".to_owned()),
        false => Ok(text.to_owned()),
    });
    let password = secret(section, "password");
    Some(Some((user?, password?)))
}

fn parse_security(text: &str) -> Result<Security, String> {
    Security::ALL.into_iter().find(|security| security.as_str() == text).ok_or_else(|| {
        format!(
            "`{}` is no choice; {}",
            text.escape_debug(),
            choice(text, Security::ALL.map(Security::as_str))
        )
    })
}

fn parse_format(text: &str) -> Result<WebhookFormat, String> {
    WebhookFormat::parse(text).ok_or_else(|| {
        let choice = choice(text, WebhookFormat::ALL.map(WebhookFormat::as_str));
        format!("`{}` is no format; {choice}", text.escape_debug())
    })
}

fn parse_host(text: &str) -> Result<String, String> {
    let host = text.parse::<IpAddr>().map(|ip| ip.to_string()).or_else(|_| match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => Ok(name),
        _ => Err(()),
    });
    host.map_err(|()| "is not a host's name or address; write it like `smtp.example.com`".to_owned())
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn parse_address(text: &str) -> Result<String, String> {
    let address = mail::address(text).map(|address| address.to_string());
    address.ok_or_else(|| "is not the address of a mailbox; write it like `team@example.com`".to_owned())
}

fn parse_from(text: &str) -> Result<Mailbox, String> {
    let fits = !text.contains(char::is_control);
    text.parse().ok().filter(|_| fits).ok_or_else(|| {
        "is not a sender; write it like `gitward@example.com` or `Gitward <gitward@example.com>`".to_owned()
    })
}
