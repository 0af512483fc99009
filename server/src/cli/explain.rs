//! What `check-config` says about a configuration that is good. Holds no secrets.

use std::{
    fmt::{self, Write},
    path::Path,
};

use crate::{config::Config, site::records::WouldApply, store::Applied};

/// A page of text: what was read, and what it would change.
pub(super) fn explain(path: &Path, config: &Config, would: &WouldApply) -> String {
    let mut page = String::new();
    // Writing to a String does not fail.
    write(&mut page, path, config, would).ok();
    page
}

fn write(page: &mut String, path: &Path, config: &Config, would: &WouldApply) -> fmt::Result {
    writeln!(page, "{} is good.\n", path.display())?;
    writeln!(page, "Public URL       {}", origin(config))?;
    writeln!(page, "Listens on       {}", config.listen())?;
    writeln!(
        page,
        "Database         {}{}",
        config.database_file().display(),
        absence(&config.database_file())
    )?;
    writeln!(
        page,
        "Root key         {}{}",
        config.root_key_file().display(),
        absence(config.root_key_file())
    )?;
    let proxies: Vec<String> = config.trusted_proxies().iter().map(ToString::to_string).collect();
    let proxies = if proxies.is_empty() { "none".to_owned() } else { proxies.join(", ") };
    writeln!(page, "Trusted proxies  {proxies}")?;
    if let Some(days) = config.keep_audit_days() {
        writeln!(page, "Audit log        kept for {days} {}", if days == 1 { "day" } else { "days" })?;
    }
    mail(page, config)?;
    providers(page, config)?;
    apps(page, config)?;
    accounts(page, config)?;
    changes(page, would)
}

fn mail(page: &mut String, config: &Config) -> fmt::Result {
    let Some(mail) = config.mail() else { return writeln!(page, "Mail             none") };
    write!(page, "Mail             through {}:{} ({})", mail.host, mail.port, mail.security.as_str())?;
    if let Some((user, _)) = &mail.sign_in {
        write!(page, ", as {user}")?;
    }
    if let Some(ca) = &mail.ca {
        write!(page, ", also trusting {}", ca.file.display())?;
    }
    writeln!(page, ", from {}", mail.from)
}

fn providers(page: &mut String, config: &Config) -> fmt::Result {
    heading(page, "Git providers", config.providers().is_empty())?;
    for provider in config.providers() {
        write!(page, "  {}: {} at {}", provider.id, provider.kind.as_str(), provider.base_url)?;
        if let Some(api) = &provider.api_url {
            write!(page, ", API at {api}")?;
        }
        if let Some(proxy) = &provider.proxy {
            write!(page, ", through {proxy}")?;
        }
        if let Some(ca) = &provider.ca {
            write!(page, ", also trusting {}", ca.file.display())?;
        }
        if let Some(per_second) = provider.checks_per_second {
            write!(page, ", at most {per_second} checks per second")?;
        }
        writeln!(page)?;
    }
    Ok(())
}

fn apps(page: &mut String, config: &Config) -> fmt::Result {
    heading(page, "OAuth apps", config.apps().is_empty())?;
    for settings in config.apps() {
        let app = &settings.app;
        write!(page, "  {}: client {} at {}", app.id, app.client_id, app.provider)?;
        if let Some(account) = &settings.account {
            write!(page, ", for {account} only")?;
        }
        let callback = app::path::callback(app.provider.as_str());
        writeln!(page, "\n    callback to register there: {}{callback}", origin(config))?;
    }
    Ok(())
}

fn accounts(page: &mut String, config: &Config) -> fmt::Result {
    heading(page, "Accounts", config.accounts().is_empty())?;
    for account in config.accounts() {
        let members = config.members().iter().filter(|member| member.account == account.id).count();
        writeln!(page, "  {} ({}), members: {members}", account.id, account.name)?;
        for runtime in config.runtimes().iter().filter(|runtime| runtime.account == account.id) {
            write!(page, "    {}: at {}", runtime.id, runtime.provider)?;
            match &runtime.oauth_app {
                Some(app) => write!(page, ", by OAuth2 with {app}, or by token")?,
                None => write!(page, ", by token")?,
            }
            if let Some(repository) = &runtime.repository {
                write!(page, ", pushes to {repository}")?;
            }
            if let Some(scopes) = &runtime.scopes {
                write!(
                    page,
                    ", needs {}",
                    if scopes.is_empty() { "no scope".to_owned() } else { scopes.join(", ") }
                )?;
            }
            writeln!(page)?;
        }
        for webhook in config.webhooks().iter().filter(|webhook| webhook.account == account.id) {
            // The address may be a secret.
            writeln!(page, "    webhook {}: {}", webhook.name, webhook.webhook.format.as_str())?;
        }
        for mailbox in config.mailboxes().iter().filter(|mailbox| mailbox.account == account.id) {
            writeln!(page, "    mail {}: to {}", mailbox.name, mailbox.address)?;
        }
    }
    Ok(())
}

fn changes(page: &mut String, would: &WouldApply) -> fmt::Result {
    let Applied { enabled, disabled, changed } = match would {
        WouldApply::Make => return writeln!(page, "\nThere is no database yet: `gitward serve` makes it."),
        WouldApply::Upgrade => {
            return writeln!(
                page,
                "\nThe database is an older version's: `gitward serve` brings it up to date."
            );
        }
        WouldApply::Change(applied) => applied,
    };
    if enabled.is_empty() && disabled.is_empty() && changed.is_empty() {
        return writeln!(page, "\nThe database knows all of this already.");
    }
    writeln!(page, "\n`gitward serve` would")?;
    for (what, ids) in [("enable", enabled), ("change", changed), ("disable", disabled)] {
        for id in ids {
            writeln!(page, "  {what} {id}")?;
        }
    }
    Ok(())
}

fn heading(page: &mut String, title: &str, empty: bool) -> fmt::Result {
    writeln!(page, "\n{title}{}", if empty { ": none" } else { "" })
}

fn origin(config: &Config) -> &str {
    config.public_url().as_str().trim_end_matches('/')
}

fn absence(path: &Path) -> &'static str {
    if path.exists() { "" } else { " (not there yet)" }
}
