//! Applying what the operator declares: adds, changes, disables, deletes nothing.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::{
    Doing,
    row::{Columns, optional_json},
};
use crate::{
    catalogue::{Declaration, Role},
    clock::Timestamp,
    id::ProviderId,
    store::{Applied, StoreError},
};

/// A kind of declared thing: its table, and statements that take the same list of columns.
struct Kind {
    name: &'static str,
    /// The key, whether it is enabled, and the details.
    read: &'static str,
    /// The key, then the details; enables it.
    write: &'static str,
    /// The key, then the moment.
    disable: &'static str,
    /// Columns of the key, then of the details.
    columns: &'static [&'static str],
    /// How many of them are the key.
    key: usize,
}

const PROVIDERS: Kind = Kind {
    name: "provider",
    read: "SELECT disabled_at, id, origin FROM providers",
    write: "INSERT INTO providers (id, origin) VALUES ($1, $2)
            ON CONFLICT (id) DO UPDATE SET origin = excluded.origin, disabled_at = NULL",
    disable: "UPDATE providers SET disabled_at = $2 WHERE id = $1",
    columns: &["providers.id", "providers.origin"],
    key: 1,
};
const ACCOUNTS: Kind = Kind {
    name: "account",
    read: "SELECT disabled_at, id, name FROM accounts",
    write: "INSERT INTO accounts (id, name) VALUES ($1, $2)
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, disabled_at = NULL",
    disable: "UPDATE accounts SET disabled_at = $2 WHERE id = $1",
    columns: &["accounts.id", "accounts.name"],
    key: 1,
};
const MEMBERS: Kind = Kind {
    name: "member",
    read: "SELECT disabled_at, account_id, user_name, role FROM members",
    write: "INSERT INTO members (account_id, user_name, role) VALUES ($1, $2, $3)
            ON CONFLICT (user_name, account_id) DO UPDATE SET role = excluded.role, disabled_at = NULL",
    disable: "UPDATE members SET disabled_at = $3 WHERE account_id = $1 AND user_name = $2",
    columns: &["members.account_id", "members.user_name", "members.role"],
    key: 2,
};
const RUNTIMES: Kind = Kind {
    name: "runtime",
    read: "SELECT disabled_at, id, account_id, name, provider_id, oauth_app, repository, scopes FROM runtimes",
    write: "INSERT INTO runtimes (id, account_id, name, provider_id, oauth_app, repository, scopes)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id, name = excluded.name,
                provider_id = excluded.provider_id, oauth_app = excluded.oauth_app,
                repository = excluded.repository, scopes = excluded.scopes, disabled_at = NULL",
    disable: "UPDATE runtimes SET disabled_at = $2 WHERE id = $1",
    columns: &[
        "runtimes.id",
        "runtimes.account_id",
        "runtimes.name",
        "runtimes.provider_id",
        "runtimes.oauth_app",
        "runtimes.repository",
        "runtimes.scopes",
    ],
    key: 1,
};

type Values = Vec<Option<String>>;

/// Applies all of it within `step`. The caller commits, or takes it back.
pub(super) async fn apply(
    step: &mut SqliteConnection,
    declaration: &Declaration,
    now: Timestamp,
    doing: &'static str,
) -> Result<Applied, StoreError> {
    let text = |text: &str| Some(text.to_owned());
    let providers = declaration
        .providers
        .iter()
        .map(|provider| vec![text(provider.id.as_str()), text(&provider.origin)])
        .collect();
    let accounts = declaration
        .accounts
        .iter()
        .map(|account| vec![text(account.id.as_str()), text(&account.name)])
        .collect();
    let members = declaration
        .members
        .iter()
        .map(|member| {
            let role = match member.role {
                Role::Member => "member",
                Role::Admin => "admin",
            };
            vec![text(member.account.as_str()), text(member.name.as_str()), text(role)]
        })
        .collect();
    let runtimes = declaration
        .runtimes
        .iter()
        .map(|runtime| {
            Ok(vec![
                text(runtime.id.as_str()),
                text(runtime.account.as_str()),
                text(&runtime.name),
                text(runtime.provider.as_str()),
                runtime.oauth_app.as_ref().map(|app| app.as_str().to_owned()),
                runtime.repository.clone(),
                optional_json("runtimes.scopes", runtime.scopes.as_ref())?,
            ])
        })
        .collect::<Result<Vec<_>, StoreError>>()?;

    let mut applied = Applied::default();
    refuse_new_origins(step, declaration, doing).await?;
    for (kind, declared) in
        [(PROVIDERS, providers), (ACCOUNTS, accounts), (MEMBERS, members), (RUNTIMES, runtimes)]
    {
        compare(step, &kind, declared, now, &mut applied, doing).await?;
    }
    Ok(applied)
}

/// Tokens for one host must never reach another because a line in a file changed. Where there are none, the new origin
/// is taken, and whoever is at the old one's sign-in at the moment begins again.
async fn refuse_new_origins(
    step: &mut SqliteConnection,
    declaration: &Declaration,
    doing: &'static str,
) -> Result<(), StoreError> {
    for provider in &declaration.providers {
        let affected = sqlx::query(
            "SELECT EXISTS (SELECT 1 FROM credentials c WHERE c.provider_id = p.id)
             FROM providers p WHERE p.id = $1 AND p.origin <> $2",
        )
        .bind(provider.id.as_str())
        .bind(&provider.origin)
        .fetch_optional(&mut *step)
        .await
        .doing(doing)?;
        let Some(row) = affected else { continue };
        if Columns::new(&row).read::<i64>("credentials.provider_id")? != 0 {
            return Err(StoreError::OriginChanged(ProviderId::clone(&provider.id)));
        }
        sqlx::query("DELETE FROM login_attempts WHERE provider_id = $1")
            .bind(provider.id.as_str())
            .execute(&mut *step)
            .await
            .doing(doing)?;
    }
    Ok(())
}

/// Writes what differs and says what it was.
async fn compare(
    step: &mut SqliteConnection,
    kind: &Kind,
    declared: Vec<Values>,
    now: Timestamp,
    applied: &mut Applied,
    doing: &'static str,
) -> Result<(), StoreError> {
    let mut kept = BTreeMap::new();
    for row in sqlx::query(kind.read).fetch_all(&mut *step).await.doing(doing)? {
        let mut columns = Columns::new(&row);
        let enabled = columns.optional_time(kind.columns[0])?.is_none();
        let values = kind.columns.iter().map(|column| columns.read(column)).collect::<Result<Values, _>>()?;
        kept.insert(id(kind, &values), (enabled, values));
    }
    let declared: BTreeMap<_, _> = declared.into_iter().map(|values| (id(kind, &values), values)).collect();

    for (id, values) in &declared {
        match kept.get(id) {
            Some((true, same)) if same == values => continue,
            Some((true, _)) => applied.changed.push(id.clone()),
            Some((false, _)) | None => applied.enabled.push(id.clone()),
        }
        let write = values.iter().fold(sqlx::query(kind.write), |query, value| query.bind(value));
        write.execute(&mut *step).await.doing(doing)?;
    }
    for (id, (enabled, values)) in kept {
        if enabled && !declared.contains_key(&id) {
            let disable = values
                .iter()
                .take(kind.key)
                .fold(sqlx::query(kind.disable), |query, value| query.bind(value));
            disable.bind(now.micros()).execute(&mut *step).await.doing(doing)?;
            applied.disabled.push(id);
        }
    }
    Ok(())
}

/// `runtime acme.production`, `member acme/alice`.
fn id(kind: &Kind, values: &Values) -> String {
    let key: Vec<_> = values.iter().take(kind.key).flatten().map(String::as_str).collect();
    format!("{} {}", kind.name, key.join("/"))
}
