//! Credentials: read, kept, renewed, and gone once nothing uses them.

use serde::Deserialize;
use sqlx::{
    Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow},
};

use super::{
    Doing, SqliteStore, notice, revocation,
    row::{Columns, json, micros, optional_json, parse},
};
use crate::{
    clock::Timestamp,
    credential::{Credential, Method, ProviderAccount, Standing, Trouble},
    id::{CredentialId, OauthAppId, ProviderId, UserId},
    seal::Sealed,
    store::{Ending, LONGEST_RENEWAL, Lease, NewCredential, StoreError},
};

/// What [`read`] reads, of `credentials c`.
macro_rules! credential_columns {
    () => {
        "c.id, c.user_id, c.provider_id, c.method, c.kind, c.oauth_app, c.generation, c.owner_id, c.owner_login, \
         c.scopes, c.expires_at, c.expiry_unknown, c.renew_at, c.standing, c.created_at, c.user_name, c.noted_end, \
         c.due_at, c.access_ends_at, c.renewal_lost_at"
    };
}
pub(super) use credential_columns;

/// What a check may change, as [`bind`] binds it. Whoever asks about the credential has asked.
macro_rules! checked {
    () => {
        "method = $5, kind = $6, oauth_app = $7, owner_id = $8, owner_login = $9, scopes = $10, expires_at = $11, \
         expiry_unknown = $12, renew_at = $13, standing = $14, last_good_at = $15, user_name = $16, noted_end = $17, \
         due_at = $18, access_ends_at = $19, checking_until = NULL"
    };
}

impl SqliteStore {
    pub(super) async fn find_credential(
        &self,
        user: &UserId,
        id: &CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            credential_columns!(),
            " FROM credentials c WHERE c.id = $1 AND c.user_id = $2"
        ))
        .bind(id.as_str())
        .bind(user.as_str())
        .fetch_optional(&self.readers)
        .await
        .doing("find a credential")?;
        row.map(|row| read(&mut Columns::new(&row))).transpose()
    }

    pub(super) async fn find_any_credential(
        &self,
        id: &CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        let row =
            sqlx::query(concat!("SELECT ", credential_columns!(), " FROM credentials c WHERE c.id = $1"))
                .bind(id.as_str())
                .fetch_optional(&self.readers)
                .await
                .doing("find a credential")?;
        row.map(|row| read(&mut Columns::new(&row))).transpose()
    }

    pub(super) async fn find_grant(
        &self,
        user: &UserId,
        app: &OauthAppId,
        owner_id: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            credential_columns!(),
            " FROM credentials c WHERE c.user_id = $1 AND c.oauth_app = $2 AND c.owner_id = $3 AND c.is_second = 0"
        ))
        .bind(user.as_str())
        .bind(app.as_str())
        .bind(owner_id)
        .fetch_optional(&self.readers)
        .await
        .doing("find a grant")?;
        row.map(|row| read(&mut Columns::new(&row))).transpose()
    }

    pub(super) async fn find_sealed(&self, id: &CredentialId) -> Result<Option<NewCredential>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            credential_columns!(),
            ", c.sealed FROM credentials c WHERE c.id = $1"
        ))
        .bind(id.as_str())
        .fetch_optional(&self.readers)
        .await
        .doing("read a sealed credential")?;
        row.as_ref().map(read_sealed).transpose()
    }

    pub(super) async fn find_all_sealed(&self) -> Result<Vec<NewCredential>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            credential_columns!(),
            ", c.sealed FROM credentials c ORDER BY c.id"
        ))
        .fetch_all(&self.readers)
        .await
        .doing("read all sealed credentials")?;
        rows.iter().map(read_sealed).collect()
    }

    pub(super) async fn find_sealed_of(
        &self,
        provider: &ProviderId,
        owner_id: &str,
    ) -> Result<Vec<NewCredential>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            credential_columns!(),
            ", c.sealed FROM credentials c WHERE c.provider_id = $1 AND c.owner_id = $2 ORDER BY c.id"
        ))
        .bind(provider.as_str())
        .bind(owner_id)
        .fetch_all(&self.readers)
        .await
        .doing("read the sealed credentials of an account")?;
        rows.iter().map(read_sealed).collect()
    }

    pub(super) async fn find_another_that_passed(
        &self,
        provider: &ProviderId,
        but: &CredentialId,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 FROM credentials WHERE provider_id = $1 AND last_good_at >= $2 AND id <> $3 LIMIT 1",
        )
        .bind(provider.as_str())
        .bind(since.micros())
        .bind(but.as_str())
        .fetch_optional(&self.readers)
        .await
        .doing("look for another credential that passed")?;
        Ok(row.is_some())
    }

    pub(super) async fn write_verdict(
        &self,
        credential: &Credential,
        seen: &Standing,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "note what the provider said";
        let statement = concat!(
            "UPDATE credentials SET ",
            checked!(),
            // Whose it is there is the provider's to say: it is noted also where another grant was first.
            ", is_second = CASE WHEN EXISTS (
                 SELECT 1 FROM credentials o WHERE o.user_id = $2 AND o.oauth_app = $7 AND o.owner_id = $8
                 AND o.id <> $1 AND o.is_second = 0) THEN 1 ELSE 0 END
             WHERE id = $1 AND user_id = $2 AND provider_id = $3 AND generation = $4"
        );
        let mut step = self.step(DOING).await?;
        let Some((before, standing)) = read_notable(&mut step, &credential.id, DOING).await? else {
            return Ok(false);
        };
        if standing != *seen {
            return Ok(false);
        }
        let written = bind(sqlx::query(statement), credential)?.execute(&mut *step).await.doing(DOING)?;
        if written.rows_affected() == 0 {
            return Ok(false);
        }
        // As a rule nothing has changed: most of what is checked is as it was an hour ago.
        let changed = before != Notable::of(credential)?;
        if changed {
            notice::mark_users_of(&mut step, &credential.id).await.doing(DOING)?;
        }
        step.commit().await.doing(DOING)?;
        if changed {
            self.stirred.notify_one();
        }
        Ok(true)
    }

    pub(super) async fn take_lease(
        &self,
        id: &CredentialId,
        generation: i64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease, StoreError> {
        const DOING: &str = "take the lease to renew a credential";
        // A lease that nobody ended is one whose holder got no answer.
        let rows = sqlx::query(
            "UPDATE credentials
             SET renewal_lost_at = COALESCE(renewal_lost_at, CASE WHEN lease_until IS NOT NULL THEN $3 END),
                 lease_until = $4
             WHERE id = $1 AND generation = $2
             AND (lease_until IS NULL OR lease_until <= $3 OR lease_until > $5)
             RETURNING renewal_lost_at",
        )
        .bind(id.as_str())
        .bind(generation)
        .bind(now.micros())
        .bind(until.micros())
        .bind(now.plus(LONGEST_RENEWAL).micros())
        // To the end: only then it is on the disk, or is known not to be.
        .fetch_all(&self.writer)
        .await
        .doing(DOING)?;
        let Some(row) = rows.first() else { return Ok(Lease::Refused) };
        Ok(Lease::Taken { lost_at: Columns::new(row).optional_time("credentials.renewal_lost_at")? })
    }

    pub(super) async fn end_lease(
        &self,
        id: &CredentialId,
        generation: i64,
        until: Timestamp,
        lost_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "end the lease to renew a credential";
        let mut step = self.step(DOING).await?;
        // Its end tells whose lease it is: who comes later has a later one.
        let ended = sqlx::query(
            "UPDATE credentials SET lease_until = NULL, renewal_lost_at = COALESCE(renewal_lost_at, $4)
             WHERE id = $1 AND generation = $2 AND lease_until = $3",
        )
        .bind(id.as_str())
        .bind(generation)
        .bind(until.micros())
        .bind(micros(lost_at))
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        if ended.rows_affected() == 0 {
            revocation::not_renewed(&mut step, id, generation, until).await.doing(DOING)?;
        }
        step.commit().await.doing(DOING)
    }

    pub(super) async fn write_renewed(
        &self,
        new: &NewCredential,
        lease: Timestamp,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "keep a renewed credential";
        let mut step = self.step(DOING).await?;
        let replaced = replace(&mut step, new, Some(lease), DOING).await?;
        if replaced {
            notice::mark_users_of(&mut step, &new.credential.id).await.doing(DOING)?;
        } else {
            revocation::renewed(&mut step, new).await.doing(DOING)?;
        }
        step.commit().await.doing(DOING)?;
        if replaced {
            self.stirred.notify_one();
        }
        Ok(replaced)
    }
}

/// What of a credential decides how its user's access is. The rest may change with each check.
#[derive(Eq, PartialEq)]
struct Notable {
    invalid: bool,
    refused: bool,
    unreachable: bool,
    owner_id: String,
    scopes: Option<String>,
    expires_at: Option<i64>,
    noted_end: Option<i64>,
    renew_at: Option<i64>,
}

impl Notable {
    fn of(credential: &Credential) -> Result<Self, StoreError> {
        let (invalid, refused, unreachable) = doubts(&credential.standing);
        Ok(Self {
            invalid,
            refused,
            unreachable,
            owner_id: credential.owner.id.clone(),
            scopes: optional_json("credentials.scopes", credential.scopes.as_ref())?,
            expires_at: micros(credential.expires_at),
            noted_end: micros(credential.noted_end),
            renew_at: micros(credential.renew_at),
        })
    }
}

fn doubts(standing: &Standing) -> (bool, bool, bool) {
    let unreachable = matches!(standing.trouble, Some((Trouble::Unreachable, _)));
    (standing.invalid, standing.rejected_since.is_some(), unreachable)
}

/// As it is kept, with its standing. `None` if it is gone.
async fn read_notable(
    step: &mut SqliteConnection,
    id: &CredentialId,
    doing: &'static str,
) -> Result<Option<(Notable, Standing)>, StoreError> {
    let row = sqlx::query(
        "SELECT standing, owner_id, scopes, expires_at, noted_end, renew_at FROM credentials WHERE id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(step)
    .await
    .doing(doing)?;
    let Some(row) = row else { return Ok(None) };
    let mut columns = Columns::new(&row);
    let standing = columns.json("credentials.standing")?;
    let (invalid, refused, unreachable) = doubts(&standing);
    let notable = Notable {
        invalid,
        refused,
        unreachable,
        owner_id: columns.read("credentials.owner_id")?,
        scopes: columns.read("credentials.scopes")?,
        expires_at: columns.read("credentials.expires_at")?,
        noted_end: columns.read("credentials.noted_end")?,
        renew_at: columns.read("credentials.renew_at")?,
    };
    Ok(Some((notable, standing)))
}

/// Keeps a credential, or replaces the one of its id and generation before. `false` if neither is possible: somebody
/// was faster, or it would be a second grant for the same account at the provider.
pub(super) async fn write(
    step: &mut SqliteConnection,
    new: &NewCredential,
    doing: &'static str,
) -> Result<bool, StoreError> {
    if let Some(user_name) = &new.credential.user_name {
        sqlx::query(
            "INSERT INTO user_names (user_id, provider_id, user_name) VALUES ($1, $2, $3)
             ON CONFLICT (user_id, provider_id) DO UPDATE SET user_name = excluded.user_name",
        )
        .bind(new.credential.user.as_str())
        .bind(new.credential.provider.as_str())
        .bind(user_name)
        .execute(&mut *step)
        .await
        .doing(doing)?;
    }
    if replace(step, new, None, doing).await? {
        return Ok(true);
    }
    let added = bind(
        sqlx::query(
            "INSERT INTO credentials (id, user_id, provider_id, generation, method, kind, oauth_app, owner_id,
                 owner_login, scopes, expires_at, expiry_unknown, renew_at, standing, last_good_at, user_name, noted_end,
                 due_at, access_ends_at, sealed, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
             ON CONFLICT DO NOTHING",
        ),
        &new.credential,
    )?
    .bind(&new.sealed.0)
    .bind(new.credential.created_at.micros())
    .execute(step)
    .await
    .doing(doing)?;
    Ok(added.rows_affected() > 0)
}

/// The lease ends with it: what it was taken for has happened, or no longer can. What was renewed under a `lease` is
/// kept unless somebody else has one by now; `None`: whatever anybody has.
async fn replace(
    connection: &mut SqliteConnection,
    new: &NewCredential,
    lease: Option<Timestamp>,
    doing: &'static str,
) -> Result<bool, StoreError> {
    let statement = concat!(
        "UPDATE credentials SET generation = $4, ",
        checked!(),
        ", sealed = $20, lease_until = NULL, renewal_lost_at = NULL
         WHERE id = $1 AND user_id = $2 AND provider_id = $3 AND generation = $4 - 1
         AND ($21 IS NULL OR lease_until IS NULL OR lease_until = $21)"
    );
    let replaced = bind(sqlx::query(statement), &new.credential)?
        .bind(&new.sealed.0)
        .bind(micros(lease))
        .execute(connection)
        .await;
    unless_taken(replaced).doing(doing)
}

/// A second grant for one account at the provider is refused like any other that comes too late.
fn unless_taken(written: Result<SqliteQueryResult, sqlx::Error>) -> Result<bool, sqlx::Error> {
    match written {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        written => Ok(written?.rows_affected() > 0),
    }
}

/// Deletes what no runtime of the user uses, nor is asked to use; `ending` says what becomes of one of them. SQLite overwrites it (`secure_delete`).
pub(super) async fn forget_unused(
    step: &mut SqliteConnection,
    user: &UserId,
    ending: Option<&Ending>,
) -> Result<(), sqlx::Error> {
    if let Some(ending) = ending {
        revocation::begin(step, user, ending).await?;
    }
    sqlx::query(
        "DELETE FROM credentials WHERE user_id = $1
         AND NOT EXISTS (SELECT 1 FROM assignments a WHERE a.credential_id = credentials.id)
         AND NOT EXISTS (SELECT 1 FROM assignments a WHERE a.proposed_id = credentials.id)",
    )
    .bind(user.as_str())
    .execute(step)
    .await?;
    Ok(())
}

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// `$1` to `$19`.
fn bind<'q>(query: Statement<'q>, credential: &'q Credential) -> Result<Statement<'q>, StoreError> {
    Ok(query
        .bind(credential.id.as_str())
        .bind(credential.user.as_str())
        .bind(credential.provider.as_str())
        .bind(credential.generation)
        .bind(match credential.method {
            Method::Token => "token",
            Method::Oauth2 => "oauth2",
        })
        .bind(&credential.kind)
        .bind(credential.oauth_app.as_ref().map(OauthAppId::as_str))
        .bind(&credential.owner.id)
        .bind(&credential.owner.login)
        .bind(optional_json("credentials.scopes", credential.scopes.as_ref())?)
        .bind(micros(credential.expires_at))
        .bind(i64::from(credential.expiry_unknown))
        .bind(micros(credential.renew_at))
        .bind(json("credentials.standing", &credential.standing)?)
        .bind(micros(credential.standing.last_good_at))
        .bind(credential.user_name.as_deref())
        .bind(micros(credential.noted_end))
        .bind(micros(credential.due_at))
        .bind(micros(credential.access_ends_at)))
}

/// How it was given.
pub(super) fn method(word: &str) -> Result<Method, StoreError> {
    match word {
        "token" => Ok(Method::Token),
        "oauth2" => Ok(Method::Oauth2),
        _ => Err(StoreError::Unreadable {
            column: "credentials.method",
            problem: "neither `token` nor `oauth2`".to_owned(),
        }),
    }
}

/// What `credential_columns!` selects.
fn read(columns: &mut Columns<'_>) -> Result<Credential, StoreError> {
    Ok(Credential {
        id: columns.id("credentials.id")?,
        user: columns.id("credentials.user_id")?,
        provider: columns.id("credentials.provider_id")?,
        method: method(columns.read("credentials.method")?)?,
        kind: columns.read("credentials.kind")?,
        oauth_app: columns.optional_id("credentials.oauth_app")?,
        generation: columns.read("credentials.generation")?,
        owner: ProviderAccount {
            id: columns.read("credentials.owner_id")?,
            login: columns.read("credentials.owner_login")?,
        },
        scopes: columns.optional_json("credentials.scopes")?,
        expires_at: columns.optional_time("credentials.expires_at")?,
        expiry_unknown: columns.read::<i64>("credentials.expiry_unknown")? != 0,
        renew_at: columns.optional_time("credentials.renew_at")?,
        standing: columns.json("credentials.standing")?,
        created_at: columns.time("credentials.created_at")?,
        user_name: columns.read("credentials.user_name")?,
        noted_end: columns.optional_time("credentials.noted_end")?,
        due_at: columns.optional_time("credentials.due_at")?,
        access_ends_at: columns.optional_time("credentials.access_ends_at")?,
        renewal_lost_at: columns.optional_time("credentials.renewal_lost_at")?,
    })
}

/// `credential_columns!` as a JSON array.
#[derive(Deserialize)]
pub(super) struct Packed {
    id: CredentialId,
    user: UserId,
    provider: ProviderId,
    method: Method,
    kind: String,
    oauth_app: Option<OauthAppId>,
    generation: i64,
    owner_id: String,
    owner_login: String,
    scopes: Option<String>,
    expires_at: Option<Timestamp>,
    expiry_unknown: i64,
    renew_at: Option<Timestamp>,
    standing: String,
    created_at: Timestamp,
    user_name: Option<String>,
    noted_end: Option<Timestamp>,
    due_at: Option<Timestamp>,
    access_ends_at: Option<Timestamp>,
    renewal_lost_at: Option<Timestamp>,
}

impl Packed {
    pub(super) fn unpack(self) -> Result<Credential, StoreError> {
        Ok(Credential {
            id: self.id,
            user: self.user,
            provider: self.provider,
            method: self.method,
            kind: self.kind,
            oauth_app: self.oauth_app,
            generation: self.generation,
            owner: ProviderAccount { id: self.owner_id, login: self.owner_login },
            scopes: self.scopes.map(|text| parse("credentials.scopes", &text)).transpose()?,
            expires_at: self.expires_at,
            expiry_unknown: self.expiry_unknown != 0,
            renew_at: self.renew_at,
            standing: parse("credentials.standing", &self.standing)?,
            created_at: self.created_at,
            user_name: self.user_name,
            noted_end: self.noted_end,
            due_at: self.due_at,
            access_ends_at: self.access_ends_at,
            renewal_lost_at: self.renewal_lost_at,
        })
    }
}

fn read_sealed(row: &SqliteRow) -> Result<NewCredential, StoreError> {
    let mut columns = Columns::new(row);
    Ok(NewCredential { credential: read(&mut columns)?, sealed: Sealed(columns.read("credentials.sealed")?) })
}
