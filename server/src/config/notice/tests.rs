use std::path::Path;

use insta::assert_snapshot;

use crate::{
    config::Config,
    deliver::{WebhookFormat, mail::Security},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

fn read(text: &str) -> Result<Config, String> {
    let text = format!("public_url = 'https://gitward.example.com'\n{text}");
    Config::parse(Path::new("gitward.toml"), &text, &|_| None).map_err(|errors| errors.to_string())
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn wrong(text: &str) -> String {
    read(text).err().expect("a problem")
}

#[test]
fn without_a_word_about_it_there_is_no_mail_and_no_private_webhook() {
    let config = good("");
    assert!(config.mail().is_none() && !config.private_webhooks() && config.webhooks().is_empty());
}

#[test]
fn ports_are_the_usual_ones_of_the_encryption() {
    for (security, port) in [("tls", 465), ("starttls", 587), ("none", 25)] {
        let config =
            good(&format!("[mail]\nhost = 'localhost'\nfrom = 'a@example.com'\nsecurity = '{security}'"));
        let mail = config.mail().unwrap();
        assert_eq!((mail.port, mail.security.as_str()), (port, security));
    }
    let config = good("[mail]\nhost = 'smtp.example.com'\nport = 2525\nfrom = 'Gitward <g@example.com>'");
    let mail = config.mail().unwrap();
    assert_eq!((mail.port, mail.security), (2525, Security::Tls));
    assert_eq!(mail.from.to_string(), "Gitward <g@example.com>");
    assert!(mail.sign_in.is_none());
}

#[test]
fn what_is_wrong_with_mail_is_said_without_the_password() {
    let text = "
[mail]
host = 'https://smtp.example.com'
port = '465'
security = 'ssl'
password = 'hunter2'
from = 'Gitward'
";
    assert_snapshot!(wrong(text), @r#"
    gitward.toml:3:1: mail.user: is missing next to the password
    gitward.toml:4:8: mail.host: is not a host's name or address; write it like `smtp.example.com`
    gitward.toml:5:8: mail.port: must be a port: a number from 1 to 65535, without quotes
    gitward.toml:6:12: mail.security: `ssl` is no choice; the choice is `tls`, `starttls`, `none`
    gitward.toml:8:8: mail.from: is not a sender; write it like `gitward@example.com` or `Gitward <gitward@example.com>`
    "#);
    let plain = "[mail]\nhost = 'smtp.example.com'\nsecurity = 'none'\nuser = 'g'\npassword = 'hunter 2'\n";
    let report = wrong(plain);
    assert!(!report.contains("hunter"), "{report}");
    assert_snapshot!(report, @r#"
    gitward.toml:2:1: mail.from: is missing; write `from = "Gitward <gitward@example.com>"`
    gitward.toml:3:8: mail.host: is another machine: mail goes there encrypted; write `security = "tls"` or `"starttls"`
    gitward.toml:6:12: mail.password: is not a secret: it is empty or has blanks in it
    "#);
    for port in ["0", "65536", "-1", "0x19", "2.5", "true"] {
        let report = wrong(&format!("[mail]\nhost = 'a'\nfrom = 'a@example.com'\nport = {port}"));
        assert!(report.contains("mail.port: must be a port"), "{report}");
    }
    for from in ["", "a", "a@", "a@example.com\\r\\nBcc: b@example.com", "<>"] {
        let report = wrong(&format!("[mail]\nhost = 'a'\nfrom = \"{from}\""));
        assert!(report.contains("mail.from: is not a sender"), "{from}: {report}");
    }
}

#[test]
fn an_accounts_webhooks_are_read() {
    let config = good(&format!(
        "
[[account]]
id = 'acme'
name = 'Acme'
[[account.webhook]]
name = 'chat'
url = 'https://hooks.example.com/services/T0/B0'
format = 'slack'
[[account.webhook]]
name = 'platform'
url = 'https://platform.example.com/hook?tenant=1'
secret = '{SECRET}'
"
    ));
    let read: Vec<_> = config
        .webhooks()
        .iter()
        .map(|read| {
            let target = &read.webhook.target;
            (
                read.account.as_str(),
                read.name.as_str(),
                read.webhook.format,
                target.url.expose(),
                target.secret.is_some(),
            )
        })
        .collect();
    assert_eq!(
        read,
        [
            ("acme", "chat", WebhookFormat::Slack, "https://hooks.example.com/services/T0/B0", false),
            ("acme", "platform", WebhookFormat::Standard, "https://platform.example.com/hook?tenant=1", true),
        ]
    );
}

#[test]
fn an_accounts_mailboxes_are_read() {
    let config = good(
        "
[mail]
host = 'localhost'
from = 'gitward@example.com'
[[account]]
id = 'acme'
name = 'Acme'
[[account.webhook]]
name = 'team'
url = 'https://hooks.example.com/services/T0/B0'
format = 'slack'
[[account.mail]]
name = 'team'
address = 'team@example.com'
[[account]]
id = 'globex'
name = 'Globex'
[[account.mail]]
name = 'team'
address = ' ops+gitward@globex.example '
",
    );
    let read: Vec<_> = config
        .mailboxes()
        .iter()
        .map(|mailbox| (mailbox.account.as_str(), mailbox.name.as_str(), mailbox.address.as_str()))
        .collect();
    assert_eq!(
        read,
        [("acme", "team", "team@example.com"), ("globex", "team", "ops+gitward@globex.example")]
    );
}

#[test]
fn what_is_wrong_with_mailboxes_is_said() {
    let text = "
[[account]]
id = 'acme'
name = 'Acme'
[[account.mail]]
name = 'team'
address = 'team@example.com'
";
    assert_snapshot!(wrong(text), @"gitward.toml:6:1: account.mail: can't be sent: there is no `[mail]` that says through which server");
    let text = "
[mail]
host = 'a b'
from = 'gitward@example.com'
[[account]]
id = 'acme'
name = 'Acme'
[[account.mail]]
name = 'team'
address = 'Team <team@example.com>'
[[account.mail]]
name = 'team'
[[account.mail]]
address = 'team'
to = 'team@example.com'
";
    assert_snapshot!(wrong(text), @r#"
    gitward.toml:4:8: mail.host: is not a host's name or address; write it like `smtp.example.com`
    gitward.toml:11:11: account.mail.address: is not the address of a mailbox; write it like `team@example.com`
    gitward.toml:12:1: account.mail.address: is missing; write `address = "team@example.com"`
    gitward.toml:13:8: account.mail.name: `team` is already declared in line 10
    gitward.toml:14:1: account.mail.name: is missing; write `name = "team"`
    gitward.toml:15:11: account.mail.address: is not the address of a mailbox; write it like `team@example.com`
    gitward.toml:16:1: account.mail.to: there is no such key; the choice is `name`, `address`
    "#);
}

#[test]
fn what_is_wrong_with_webhooks_is_said_without_address_and_secret() {
    let report = wrong(&format!(
        "
[notices]
allow_private_webhooks = 'no'
[[account]]
id = 'acme'
name = 'Acme'
[[account.webhook]]
name = 'a'
url = 'http://canary.example.com/'
format = 'discord'
[[account.webhook]]
name = 'a'
url = 'canary'
secret = 'canary'
[[account.webhook]]
url = 'https://canary.example.com/'
format = 'slack'
secret = '{SECRET}'
[[account.webhook]]
name = 'b'
"
    ));
    assert!(!report.contains("canary") && !report.contains(SECRET), "{report}");
    assert_snapshot!(report, @r#"
    gitward.toml:4:26: notices.allow_private_webhooks: must be `true` or `false`, without quotes
    gitward.toml:10:7: account.webhook.url: is not a webhook's address: it must begin with https://
    gitward.toml:11:10: account.webhook.format: `discord` is no format; the choice is `standard`, `slack`
    gitward.toml:13:8: account.webhook.name: `a` is already declared in line 9
    gitward.toml:14:7: account.webhook.url: is not a webhook's address: it is not a web address
    gitward.toml:15:10: account.webhook.secret: does not hold a signing secret: `whsec_` and 24 to 64 random bytes in base64; make one with `echo whsec_$(openssl rand -base64 32)`
    gitward.toml:16:1: account.webhook.name: is missing; write `name = "chat"`
    gitward.toml:19:10: account.webhook.secret: is not used with `format = "slack"`: remove it
    gitward.toml:20:1: account.webhook.secret: is missing; write `secret_file = "…"` with the path of a file that holds it
    gitward.toml:20:1: account.webhook.url: is missing; write `url = "https://…"`, or `url_file` if the address is a secret
    "#);
}

#[test]
fn a_webhook_in_a_private_network_is_allowed_for_all_or_for_nobody() {
    let text = |allowed: bool| {
        format!(
            "[notices]\nallow_private_webhooks = {allowed}\n[[account]]\nid = 'a'\nname = 'A'\n\
             [[account.webhook]]\nname = 'b'\nurl = 'http://127.0.0.1:8080/'\nformat = 'slack'\n"
        )
    };
    assert!(good(&text(true)).private_webhooks());
    let report = wrong(&text(false));
    assert!(report.contains("leads to a private network"), "{report}");
}
