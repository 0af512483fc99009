//! What is kept, for the commands next to a server, whether it runs or not. They need a database that is there, and
//! neither make one, nor bring it up to date, nor apply what the configuration declares: that is for the server alone,
//! which would otherwise find itself changed by a command that only meant to look.

use std::{path::Path, sync::Arc};

use super::{SiteError, Verified, mailer, origin, registry, verify_all};
use crate::{
    audit::{self, Audit, export::Format, verify::Point},
    clock::Clock,
    config::Config,
    person::{self, People},
    random::Entropy,
    runtime_key::RuntimeKeys,
    seal::{KeyRing, RootKey},
    store::{
        AccessStore, Applied, AuditStore, Store, StoreError,
        sqlite::{Schema, SqliteStore},
    },
};

/// What serving would do to the database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WouldApply {
    /// Make it.
    Make,
    /// Bring it up to date first; what else is not known before that.
    Upgrade,
    /// Change what is declared in it.
    Change(Applied),
}

/// What serving would do. Writes nothing.
///
/// # Errors
/// As [`SiteError`] says.
pub async fn would_apply(config: &Config, clock: &Arc<dyn Clock>) -> Result<WouldApply, SiteError> {
    let registry = registry(config, clock)?;
    mailer(config)?;
    let database = config.database_file();
    if !SqliteStore::exists(&database) {
        return Ok(WouldApply::Make);
    }
    let (store, schema) = SqliteStore::look(&database).await?;
    let would = match schema {
        Schema::None => Ok(WouldApply::Make),
        Schema::Older => Ok(WouldApply::Upgrade),
        Schema::Current => {
            store.would_apply(&config.declaration(|id| origin(&registry, id))).await.map(WouldApply::Change)
        }
    };
    store.close().await;
    Ok(would?)
}

/// Writes a copy of the database, whatever its schema: before an upgrade is when a copy is worth most. Needs no key,
/// because it opens nothing.
///
/// # Errors
/// [`SiteError::NoDatabase`], [`SiteError::Store`].
pub async fn backup(config: &Config, to: &Path) -> Result<(), SiteError> {
    let (store, _) = SqliteStore::look(&existing(config)?).await?;
    let copied = store.backup(to).await;
    store.close().await;
    Ok(copied?)
}

/// Opens every sealed token and webhook, and writes nothing.
///
/// # Errors
/// [`SiteError::NoDatabase`], [`SiteError::Key`], [`SiteError::Store`]; what does not open is no error but in the
/// result.
pub async fn verify(config: &Config, entropy: &dyn Entropy) -> Result<Verified, SiteError> {
    let (store, keys) = unlock_current(config, entropy).await?;
    let verified = verify_all(&store, keys.as_ref()).await;
    store.close().await;
    verified
}

/// What commands work with, next to a server or without one.
pub struct Opened {
    /// Passwords, sessions, one-time links.
    pub people: People,
    /// Keys of runtimes.
    pub runtime_keys: RuntimeKeys,
    /// Writes down what is done.
    pub audit: Audit,
    /// To close afterwards.
    pub store: Arc<dyn Store>,
}

/// Opens the database to change something.
///
/// # Errors
/// [`SiteError::NoDatabase`], [`SiteError::Key`], [`SiteError::Store`]; then nothing was changed.
pub async fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Opened, SiteError> {
    let (looked, _) = unlock_current(config, entropy.as_ref()).await?;
    looked.close().await;
    let sqlite = Arc::new(SqliteStore::open_existing(&config.database_file()).await?);
    let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(&sqlite);
    let opened = async {
        let root = RootKey::load(config.root_key_file())?;
        let keys = Arc::new(KeyRing::open(&root, store.as_ref(), clock.as_ref(), entropy.as_ref()).await?);
        let audit =
            Audit::open(Arc::<dyn Store>::clone(&store), keys, Arc::clone(&clock), Arc::clone(&entropy));
        let runtime_keys = RuntimeKeys {
            store: Arc::clone(&store),
            audit: audit.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        };
        let people = People::new(sqlite, clock, entropy, person::Settings::default())?;
        Ok(Opened { people, runtime_keys, audit, store: Arc::clone(&store) })
    };
    let opened = opened.await;
    if opened.is_err() {
        store.close().await;
    }
    opened
}

/// Reads the whole audit log, and writes nothing.
///
/// # Errors
/// [`SiteError::NoDatabase`], [`SiteError::Key`], [`SiteError::Store`]; what is wrong with the log is no error but in
/// the result.
pub async fn verify_audit(
    config: &Config,
    noted: Option<Point>,
    entropy: &dyn Entropy,
) -> Result<audit::verify::Verified, SiteError> {
    let (store, keys) = unlock_current(config, entropy).await?;
    let verified = audit::verify::verify(&store, keys.as_ref(), noted).await;
    store.close().await;
    Ok(verified?)
}

/// Writes the audit log to `to`, the oldest record first.
///
/// # Errors
/// [`SiteError::NoDatabase`], [`SiteError::Key`], [`SiteError::Store`]; inside, what `to` says.
pub async fn export_audit(
    config: &Config,
    format: Format,
    after: i64,
    to: &mut dyn std::io::Write,
    entropy: &dyn Entropy,
) -> Result<std::io::Result<()>, SiteError> {
    const PAGE: u32 = 1000;
    let (store, _) = unlock_current(config, entropy).await?;
    let mut after = after;
    let mut written = to.write_all(format.head().as_bytes());
    let read = loop {
        if written.is_err() {
            break Ok(());
        }
        let page = match store.audit_after(after, PAGE).await {
            Ok(page) => page,
            Err(error) => break Err(error),
        };
        let Some(last) = page.last() else { break Ok(()) };
        after = last.sequence;
        let names = match audit::names(&store, &page).await {
            Ok(names) => names,
            Err(error) => break Err(error),
        };
        for record in &page {
            let line = format.line(record, names.of(record)).map_err(std::io::Error::from);
            written = written.and_then(|()| to.write_all(line?.as_bytes()));
        }
    };
    store.close().await;
    read?;
    Ok(written.and_then(|()| to.flush()))
}

/// Whether the root key is this database's, before anything is done to it. The keys, unless there are none yet.
///
/// # Errors
/// [`SiteError::Key`], [`SiteError::Store`]; nothing was changed in any case.
pub(super) async fn unlock(
    database: &Path,
    root: &RootKey,
) -> Result<(SqliteStore, Schema, Option<KeyRing>), SiteError> {
    let (store, schema) = SqliteStore::look(database).await?;
    let keys = match schema {
        Schema::None => Ok(None),
        Schema::Older | Schema::Current => KeyRing::unlock(root, &store).await,
    };
    match keys {
        Ok(keys) => Ok((store, schema, keys)),
        Err(error) => {
            store.close().await;
            Err(error.into())
        }
    }
}

async fn unlock_current(
    config: &Config,
    entropy: &dyn Entropy,
) -> Result<(SqliteStore, Option<KeyRing>), SiteError> {
    let database = existing(config)?;
    let root = RootKey::load_or_create(config.root_key_file(), true, entropy)?;
    match unlock(&database, &root).await? {
        (store, Schema::Current, keys) => Ok((store, keys)),
        (store, Schema::None | Schema::Older, _) => {
            store.close().await;
            Err(StoreError::Outdated.into())
        }
    }
}

fn existing(config: &Config) -> Result<std::path::PathBuf, SiteError> {
    let database = config.database_file();
    if SqliteStore::exists(&database) { Ok(database) } else { Err(SiteError::NoDatabase(database)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::TestClock,
        credential::{Credential, Evidence, Method, ProviderAccount, Standing, Tokens},
        deliver::{NewWebhook, Webhook, WebhookFormat, webhook::Target},
        id::RuntimeId,
        random::TestEntropy,
        secret::Secret,
        site::Site,
        store::{DeliveryStore, Ending, NewCredential},
    };

    const WITHOUT: &str = "public_url = 'https://gitward.example.com'\n";
    const WITH: &str = r#"
public_url = "https://gitward.example.com"
provider = [{ id = "github", kind = "github", base_url = "https://github.com" }]

[[account]]
id = "acme"
name = "Acme"
members = [{ user = "mara" }]
runtime = [{ name = "production", provider = "github" }]
"#;

    fn config(folder: &Path, text: &str) -> Config {
        let file = folder.join("gitward.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&file, |_| None).unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[tokio::test]
    async fn tokens_of_a_provider_that_left_the_configuration_open() {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::new();
        let entropy = Arc::new(TestEntropy::new(1));
        let site =
            Site::open(config(folder.path(), WITH), Arc::new(clock.clone()), entropy.clone()).await.unwrap();
        let (user, _) = site.people.add_user("mara").await.unwrap();
        let mara = user.id.clone();
        let now = clock.now();
        let credential = Credential {
            id: "t".into(),
            user: user.id,
            provider: "github".into(),
            method: Method::Token,
            kind: "classic".into(),
            oauth_app: None,
            generation: 1,
            owner: ProviderAccount { id: "1".into(), login: "octocat".into() },
            scopes: None,
            expires_at: None,
            expiry_unknown: false,
            noted_end: None,
            user_name: None,
            renew_at: None,
            access_ends_at: None,
            renewal_lost_at: None,
            standing: Standing::good(now, Evidence { request: "GET /user".into(), answer: "200".into() }),
            due_at: None,
            created_at: now,
        };
        let tokens = Tokens { access: Secret::new("ghp_secret"), refresh: None };
        let at = origin(&site.registry, &credential.provider);
        let sealed = site.keys.seal_tokens(&credential, &at, &tokens, entropy.as_ref()).unwrap();
        let new = NewCredential { credential, sealed };
        let production = RuntimeId("acme.production".into());
        assert!(site.store.keep(&new, &[(production.clone(), None)], None, now).await.unwrap().is_some());
        assert_eq!(site.verify().await.unwrap(), Verified { tokens: 1, ..Verified::default() });
        site.store.close().await;

        let without = config(folder.path(), WITHOUT);
        let verified = verify(&without, entropy.as_ref()).await.unwrap();
        assert_eq!(verified, Verified { tokens: 1, ..Verified::default() });
        // Verifying declared nothing: to serve would still end the runtime.
        let WouldApply::Change(applied) =
            would_apply(&without, &(Arc::new(clock) as Arc<dyn Clock>)).await.unwrap()
        else {
            panic!("a database that is up to date")
        };
        assert!(applied.disabled.contains(&"runtime acme.production".to_owned()));

        // What is yet to be revoked is opened too, and so are webhooks.
        let store = SqliteStore::open_existing(&without.database_file()).await.unwrap();
        let ending = Ending {
            credential: "t".into(),
            runtime: production.clone(),
            revoke_until: Some(now),
            held_by: Vec::new(),
            held_until: now,
            at: now,
        };
        assert!(store.delete(&mara, &production, Some(&ending), now).await.unwrap().is_some());
        let webhook = Webhook {
            id: "w".into(),
            user: mara,
            format: WebhookFormat::Slack,
            shown: "https://chat.example".into(),
            created_at: now,
            gone_at: None,
        };
        let target = Target { url: Secret::new("https://chat.example/secret"), secret: None };
        let sealed = target.seal(&site.keys, &webhook, entropy.as_ref()).unwrap();
        store.keep_webhook(&NewWebhook { webhook: webhook.clone(), sealed: sealed.clone() }).await.unwrap();
        store.close().await;
        let all = Verified { tokens: 1, to_be_revoked: 1, webhooks: 1, broken: vec![] };
        assert_eq!(verify(&without, entropy.as_ref()).await.unwrap(), all);

        let store = SqliteStore::open_existing(&without.database_file()).await.unwrap();
        let other = Webhook { id: "another".into(), ..webhook };
        store.keep_webhook(&NewWebhook { webhook: other, sealed }).await.unwrap();
        store.close().await;
        let verified = verify(&without, entropy.as_ref()).await.unwrap();
        assert_eq!(verified, Verified { broken: vec!["webhook another".to_owned()], ..all });
    }
}
