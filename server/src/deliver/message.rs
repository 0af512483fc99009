//! What a message says: the words of [`happening`], in the forms that mail and webhooks take.
//!
//! Names of runtimes, accounts and hosts are data: each form escapes them, and no header is made of more than one line.

use app::api::notice::Happening;
use html_escape::encode_text;
use serde_json::{Value, json};
use url::Url;

use super::{Job, Notice, Way};
use crate::{
    clock::Timestamp, happening::happening, id::ProviderId, moment::moment, provider::Registry,
    secret::Secret,
};

/// A mail, but for its addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// For readers of text.
    pub text: String,
    /// The same for readers of HTML.
    pub html: String,
    /// Whoever reads it decides on the settings page whether more of its kind come, which a header says as well.
    pub is_chosen: bool,
}

/// One notice in words.
struct Told {
    /// What it is about: `production (Acme)`; empty where the title says it.
    about: String,
    happening: Happening,
    /// Whose token it is about, for those who are told of several people's.
    user: Option<String>,
    link: String,
}

/// How notices become messages.
pub struct Composer<'a> {
    /// Where people find Gitward.
    pub public_url: &'a Url,
    /// How providers are called.
    pub registry: &'a Registry,
    /// When it is said.
    pub now: Timestamp,
}

impl Composer<'_> {
    /// The mail of a job: one notice, or all of a day.
    pub fn mail(&self, job: &Job) -> Mail {
        let is_chosen = job.way != Way::AccountMail;
        let told: Vec<Told> = job.notices.iter().map(|notice| self.told(job, notice)).collect();
        let subject = match told.as_slice() {
            [one] => one.headline(),
            many => format!("{} notifications about your Git access", many.len()),
        };
        let mut text = String::new();
        let mut html = String::from(HEAD);
        for one in &told {
            one.write(&mut text, &mut html);
        }
        if is_chosen {
            self.end(&mut text, &mut html)
        } else {
            end_for_account(&mut text, &mut html)
        }
        Mail { subject: one_line(&subject), text, html, is_chosen }
    }

    /// Why the mail comes, and how to end that.
    fn end(&self, text: &mut String, html: &mut String) {
        let settings = link(self.public_url, app::path::NOTICE_SETTINGS);
        text.push_str(&format!(
            "-- \nYou get this because you asked Gitward to tell you by mail. Change that here:\n{settings}\n"
        ));
        html.push_str(&format!(
            "<p style=\"color:#666;font-size:13px\">You get this because you asked Gitward to tell you by mail. \
             <a href=\"{0}\">Change that</a>.</p></body></html>\n",
            attribute(&settings)
        ));
    }

    /// A provider's name, as long as it is declared.
    fn provider(&self, id: &ProviderId) -> String {
        self.registry.provider(id).map_or_else(|| id.to_string(), |provider| provider.name().to_owned())
    }

    fn told(&self, job: &Job, notice: &Notice) -> Told {
        let event = &notice.event;
        let (provider, about, path) = match &notice.subject {
            Some(subject) => (
                self.provider(&subject.provider),
                format!("{} ({})", subject.name, subject.account_name),
                app::path::runtime(subject.id.as_str()),
            ),
            None => {
                let host = event.host.as_deref().unwrap_or_default();
                (self.registry.name_at(host), String::new(), app::path::TOKENS.to_owned())
            }
        };
        let happening = happening(event, &provider, self.now);
        let to_an_account = matches!(job.way, Way::Account | Way::AccountMail);
        let user = notice.subject.is_some().then(|| job.user_name.to_string()).filter(|_| to_an_account);
        Told { about, happening, user, link: link(self.public_url, &path) }
    }

    /// The body of a signed message: see the manual for its fields. Fields may be added; none changes its meaning.
    pub fn standard(&self, job: &Job, notice: &Notice) -> Value {
        let event = &notice.event;
        let told = self.told(job, notice);
        let detail = &event.detail;
        let time = |at: Timestamp| moment(at, self.now).iso;
        let mut data = json!({
            "title": told.happening.title,
            "text": told.happening.text,
            "url": told.link,
        });
        let mut add = |key: &str, value: Value| {
            if !value.is_null() {
                data[key] = value;
            }
        };
        if let Some(subject) = &notice.subject {
            add("user", json!(job.user_name.as_str()));
            add("runtime", json!({ "id": subject.id.as_str(), "name": subject.name }));
            add("account", json!({ "id": subject.account.as_str(), "name": subject.account_name }));
            add(
                "provider",
                json!({ "id": subject.provider.as_str(), "name": self.provider(&subject.provider) }),
            );
        }
        add("host", json!(event.host));
        add("ends_at", json!(detail.ends_at.map(time)));
        add("days", json!(detail.days));
        add("lack", json!(detail.lack));
        if !detail.scopes.is_empty() {
            add("missing_scopes", json!(detail.scopes));
        }
        add("repository", json!(detail.repository));
        add("login", json!(detail.login));
        add("login_before", json!(detail.login_before));
        add("trouble", json!(detail.trouble));
        add("began_at", json!(detail.began_at.map(time)));
        add("ended_at", json!(detail.ended_at.map(time)));
        let whose = if notice.subject.is_some() { "token" } else { "host" };
        json!({
            "type": format!("{whose}.{}", event.kind.as_str()),
            "timestamp": time(event.at),
            "data": data,
        })
    }

    /// The body of a message for Slack (<https://docs.slack.dev/messaging/formatting-message-text>).
    pub fn slack(&self, job: &Job, notice: &Notice) -> Value {
        let told = self.told(job, notice);
        let mut text = format!("*<{}|{}>*", told.link, slack_text(&told.headline()));
        if !told.happening.text.is_empty() {
            text.push('\n');
            text.push_str(&slack_text(&told.happening.text));
        }
        if let Some(user) = &told.user {
            text.push_str(&format!("\nToken of {}", slack_text(user)));
        }
        // No previews of links, no formatting in what is data.
        json!({ "text": text, "unfurl_links": false })
    }
}

impl Told {
    fn headline(&self) -> String {
        let title = &self.happening.title;
        if self.about.is_empty() { title.clone() } else { format!("{}: {title}", self.about) }
    }

    fn write(&self, text: &mut String, html: &mut String) {
        let Happening { text: what, at, .. } = &self.happening;
        let headline = one_line(&self.headline());
        let when = match &self.user {
            Some(user) => format!("Token of {user}, {}", at.full),
            None => at.full.clone(),
        };
        text.push_str(&format!("{headline}\n{when}\n"));
        if !what.is_empty() {
            text.push_str(&format!("\n{what}\n"));
        }
        text.push_str(&format!("\n{}\n\n", self.link));
        html.push_str(&format!(
            "<h1 style=\"font-size:18px;margin:24px 0 4px\">{}</h1><p style=\"margin:0;color:#666;font-size:13px\">{}</p>\
             <p>{}</p><p style=\"margin-bottom:32px\"><a href=\"{}\">Open in Gitward</a></p>\n",
            encode_text(&headline),
            encode_text(&when),
            encode_text(what),
            attribute(&self.link),
        ));
    }
}

/// Why a mail comes to an account's mailbox, and who can end that.
fn end_for_account(text: &mut String, html: &mut String) {
    let why = "This mailbox gets what happens to an account's runtimes, because whoever runs Gitward has set it up so. \
               Ask them to change that.";
    text.push_str(&format!("-- \n{why}\n"));
    html.push_str(&format!(
        "<p style=\"color:#666;font-size:13px\">{}</p></body></html>\n",
        encode_text(why)
    ));
}

/// Asks whether an address is the user's. Says nothing about anything else. Its link leads to a page with a button:
/// whatever looks at mails follows links as well.
pub fn confirmation(public_url: &Url, secret: &Secret) -> Mail {
    // It works once, and only for its user, who is signed in.
    let link = link(public_url, &format!("{}?secret={}", app::path::CONFIRM, secret.expose()));
    let host = public_url.host_str().unwrap_or_default();
    let what = format!(
        "Somebody who is signed in to Gitward at {host} wants to be told about their Git access at this address. If that is \
         you, follow the link within 24 hours. If not, do nothing: no further mail will come."
    );
    Mail {
        subject: "Is this your address?".to_owned(),
        text: format!("{what}\n\n{link}\n"),
        html: format!(
            "{HEAD}<p>{}</p><p><a href=\"{}\">Yes, it is mine</a></p></body></html>\n",
            encode_text(&what),
            attribute(&link)
        ),
        is_chosen: true,
    }
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Gitward</title></head>\
    <body style=\"font-family:sans-serif;max-width:600px\">";

/// An address of the site.
fn link(public_url: &Url, path: &str) -> String {
    public_url.join(path).map_or_else(|_| public_url.to_string(), Into::into)
}

fn attribute(text: &str) -> String {
    html_escape::encode_double_quoted_attribute(text).into_owned()
}

/// Data, without what Slack and those like it take for mark-up. There is no way to escape that, so that what would format
/// is replaced by a sign that looks like it. An underscore inside a word formats nothing: `read_repository` stays as it is.
fn slack_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    while let Some(c) = rest.next() {
        match c {
            '&' => safe.push_str("&amp;"),
            // `@here` and the like count only inside `<!…>`.
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '|' => safe.push('¦'),
            '*' => safe.push('∗'),
            '~' => safe.push('∼'),
            '`' => safe.push('ˋ'),
            '_' if !(is_word(before) && is_word(rest.peek().copied())) => safe.push('ˍ'),
            c => safe.push(c),
        }
        before = Some(c);
    }
    safe
}

/// Without what would end a line, or hide in it.
fn one_line(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if odd(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::slack_text;

    #[test]
    fn a_chat_shows_data_as_it_is_and_formats_nothing_of_it() {
        for scopes in ["read_repository, write_repository", "admin:repo_hook", "snake_case_2"] {
            assert_eq!(slack_text(scopes), scopes);
        }
        assert_eq!(slack_text("_not_ *so* ~far~ `code` a|b"), "ˍnotˍ ∗so∗ ∼far∼ ˋcodeˋ a¦b");
        assert_eq!(slack_text("<!here> & you"), "&lt;!here&gt; &amp; you");
    }
}
