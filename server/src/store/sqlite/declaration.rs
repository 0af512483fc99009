//! Applying what the operator declares: adds, changes, disables, deletes nothing.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::{
    Doing,
    row::{Columns, optional_json},
};
use crate::{
    catalogue::Declaration,
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

/// What applying does, found out without writing.
#[derive(Default)]
pub(super) struct Plan {
    /// In words.
    pub(super) applied: Applied,
    /// Providers at another origin, whose attempts end.
    moved: Vec<ProviderId>,
    /// What to write, in this order.
    writes: Vec<Write>,
}

enum Write {
    /// A statement and what to bind.
    Declare(&'static str, Values),
    /// A statement and what to bind, the moment after it.
    Disable(&'static str, Values),
}

/// Compares all of it with what is kept.
///
/// Tokens for one host must never reach another because a line in a file changed. Where there are none, the new origin
/// is taken, and whoever is at the old one's sign-in at the moment begins again.
pub(super) async fn plan(
    connection: &mut SqliteConnection,
    declaration: &Declaration,
    doing: &'static str,
) -> Result<Plan, StoreError> {
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
            vec![text(member.account.as_str()), text(member.name.as_str()), text(member.role.as_str())]
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

    let mut plan = Plan::default();
    plan.find_moved(connection, declaration, doing).await?;
    for (kind, declared) in
        [(PROVIDERS, providers), (ACCOUNTS, accounts), (MEMBERS, members), (RUNTIMES, runtimes)]
    {
        plan.compare(connection, &kind, declared, doing).await?;
    }
    Ok(plan)
}

impl Plan {
    /// Writes all of it within `step`, which was there when it was found out.
    pub(super) async fn carry_out(
        self,
        step: &mut SqliteConnection,
        now: Timestamp,
        doing: &'static str,
    ) -> Result<Applied, StoreError> {
        for provider in &self.moved {
            sqlx::query("DELETE FROM login_attempts WHERE provider_id = $1")
                .bind(provider.as_str())
                .execute(&mut *step)
                .await
                .doing(doing)?;
        }
        for write in self.writes {
            let (statement, values, moment) = match write {
                Write::Declare(statement, values) => (statement, values, None),
                Write::Disable(statement, values) => (statement, values, Some(now.micros())),
            };
            let mut query = values.into_iter().fold(sqlx::query(statement), |query, value| query.bind(value));
            if let Some(moment) = moment {
                query = query.bind(moment);
            }
            query.execute(&mut *step).await.doing(doing)?;
        }
        Ok(self.applied)
    }

    async fn find_moved(
        &mut self,
        connection: &mut SqliteConnection,
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
            .fetch_optional(&mut *connection)
            .await
            .doing(doing)?;
            let Some(row) = affected else { continue };
            if Columns::new(&row).read::<i64>("credentials.provider_id")? != 0 {
                return Err(StoreError::OriginChanged(provider.id.clone()));
            }
            self.moved.push(provider.id.clone());
        }
        Ok(())
    }

    /// What differs, and in which way.
    async fn compare(
        &mut self,
        connection: &mut SqliteConnection,
        kind: &Kind,
        declared: Vec<Values>,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        let mut kept = BTreeMap::new();
        for row in sqlx::query(kind.read).fetch_all(&mut *connection).await.doing(doing)? {
            let mut columns = Columns::new(&row);
            let enabled = columns.optional_time(kind.columns[0])?.is_none();
            let values =
                kind.columns.iter().map(|column| columns.read(column)).collect::<Result<Values, _>>()?;
            kept.insert(id(kind, &values), (enabled, values));
        }
        let declared: BTreeMap<_, _> =
            declared.into_iter().map(|values| (id(kind, &values), values)).collect();

        for (id, (enabled, values)) in &kept {
            if *enabled && !declared.contains_key(id) {
                let key = values.iter().take(kind.key).cloned().collect();
                self.writes.push(Write::Disable(kind.disable, key));
                self.applied.disabled.push(id.clone());
            }
        }
        for (id, values) in declared {
            match kept.get(&id) {
                Some((true, same)) if *same == values => continue,
                Some((true, _)) => self.applied.changed.push(id),
                Some((false, _)) | None => self.applied.enabled.push(id),
            }
            self.writes.push(Write::Declare(kind.write, values));
        }
        Ok(())
    }
}

/// `runtime acme.production`, `member acme/alice`.
fn id(kind: &Kind, values: &Values) -> String {
    let key: Vec<_> = values.iter().take(kind.key).flatten().map(String::as_str).collect();
    format!("{} {}", kind.name, key.join("/"))
}
