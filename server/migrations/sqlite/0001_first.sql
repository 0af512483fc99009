-- What Gitward keeps.
--
-- Ids are text, times are microseconds since 1970 in UTC, sets and documents are JSON, fingerprints and sealed secrets
-- are bytes. STRICT makes SQLite refuse what is none of these.
-- WITHOUT ROWID where a row is small and always found by its key: one tree to walk instead of two.

-- Declared by the operator. What leaves the declaration is disabled, never deleted: tokens of the people would go
-- with it because of one typing error in a file.

CREATE TABLE providers (
    id TEXT NOT NULL PRIMARY KEY,
    -- All origins that get to see this provider's tokens, sorted, joined by a blank.
    origin TEXT NOT NULL,
    disabled_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    disabled_at INTEGER
) STRICT, WITHOUT ROWID;

-- By name and not by user: members are declared before they exist. The name comes first in the key, because the
-- question on every page is "which accounts has this person".
CREATE TABLE members (
    user_name TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL CHECK (role IN ('member', 'admin')),
    disabled_at INTEGER,
    PRIMARY KEY (user_name, account_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE runtimes (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    -- The key of an app in the configuration, which alone knows its client secret: no table to refer to.
    oauth_app TEXT,
    repository TEXT,
    -- JSON array; null means the provider's default.
    scopes TEXT,
    disabled_at INTEGER
) STRICT;

CREATE INDEX runtimes_of_account ON runtimes (account_id);

-- People.

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    -- Normalised, so that two spellings of one name are one person.
    name TEXT NOT NULL UNIQUE,
    -- Argon2id as a PHC string.
    password TEXT,
    disabled_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- Secrets that only have to be recognised are kept as SHA-256 (32 bytes): whoever reads this file cannot sign in.
CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE one_time_links (
    secret BLOB NOT NULL PRIMARY KEY CHECK (length(secret) = 32),
    -- Null: the link that makes the first person.
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Failures, by whatever the caller limits: they must survive a restart, or a restart is a way around the limit.
CREATE TABLE counters (
    bucket TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What people authorized.

CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    provider_id TEXT NOT NULL REFERENCES providers (id),
    method TEXT NOT NULL CHECK (method IN ('token', 'oauth2')),
    kind TEXT NOT NULL,
    oauth_app TEXT,
    -- Counts up with each new secret; every write that depends on a secret names the one it knew.
    generation INTEGER NOT NULL,
    owner_id TEXT NOT NULL,
    owner_login TEXT NOT NULL,
    -- Goes with the token, where the provider wants a name that only the user knows.
    user_name TEXT,
    -- JSON array; null means the provider does not show them, which is not the same as none.
    scopes TEXT,
    expires_at INTEGER,
    expiry_unknown INTEGER NOT NULL CHECK (expiry_unknown IN (0, 1)),
    -- The user's own word, for providers that do not tell: kept apart from what the provider says.
    noted_end INTEGER,
    renew_at INTEGER,
    -- JSON: what the provider last said is read and written as a whole.
    standing TEXT NOT NULL,
    -- The one part of it that is asked for across credentials, written by the same statement.
    last_good_at INTEGER,
    created_at INTEGER NOT NULL,
    -- Somebody renews it, until then.
    lease_until INTEGER,
    -- Last, so that reading the rest never touches the pages that only the ciphertext needs.
    sealed BLOB NOT NULL,
    -- For the references below: they carry the user, so that nobody's assignment can name another's credential.
    UNIQUE (id, user_id)
) STRICT;

CREATE INDEX credentials_of_user ON credentials (user_id);
CREATE INDEX credentials_that_passed ON credentials (provider_id, last_good_at);

-- One grant per person, app and account at the provider: GitHub ends the oldest of more than ten tokens, and two rows
-- for one grant would each believe that they hold it. Tokens that were pasted have no app and may be many.
CREATE UNIQUE INDEX one_grant ON credentials (user_id, oauth_app, owner_id) WHERE oauth_app IS NOT NULL;

-- Remembered for the next token, also when the last one is gone.
CREATE TABLE user_names (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    user_name TEXT NOT NULL,
    PRIMARY KEY (user_id, provider_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE assignments (
    user_id TEXT NOT NULL REFERENCES users (id),
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    credential_id TEXT,
    -- Kept aside until the user decides.
    proposed_id TEXT,
    -- JSON: what the provider said about the runtime's repository, with the credential in use.
    push TEXT,
    PRIMARY KEY (user_id, runtime_id),
    FOREIGN KEY (credential_id, user_id) REFERENCES credentials (id, user_id),
    FOREIGN KEY (proposed_id, user_id) REFERENCES credentials (id, user_id),
    CHECK (credential_id IS NOT NULL OR proposed_id IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- To see that nothing uses a credential any more, so that it can go.
CREATE INDEX assignments_of_credential ON assignments (credential_id);
CREATE INDEX assignments_of_proposed ON assignments (proposed_id) WHERE proposed_id IS NOT NULL;

-- Apart from assignments: a runtime without a token can be muted too, and stays so when its token goes.
CREATE TABLE mutes (
    user_id TEXT NOT NULL REFERENCES users (id),
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    PRIMARY KEY (user_id, runtime_id)
) STRICT, WITHOUT ROWID;

-- On the way through a provider's sign-in. An attempt ends with the session that it is bound to, and is deleted when
-- it is taken: that nobody can take it twice needs no further column.
CREATE TABLE login_attempts (
    state BLOB NOT NULL PRIMARY KEY CHECK (length(state) = 32),
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    oauth_app TEXT NOT NULL,
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    -- JSON array of further runtimes.
    also TEXT NOT NULL,
    verifier BLOB NOT NULL,
    begun_at INTEGER NOT NULL,
    -- The page shows it as under way. An older one of the same runtime is not shown any more, but can still be
    -- finished: that is the tab which somebody left open.
    pending INTEGER NOT NULL CHECK (pending IN (0, 1))
) STRICT;

CREATE UNIQUE INDEX one_pending ON login_attempts (user_id, runtime_id) WHERE pending = 1;
CREATE INDEX login_attempts_of_session ON login_attempts (session_id);

-- The user, or the provider, said no; only the last time matters.
CREATE TABLE denials (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    denied_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, runtime_id)
) STRICT, WITHOUT ROWID;

-- Why the last attempt for a runtime did not end well: for the browser it happened in, and no other.
CREATE TABLE refusals (
    session_id BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    refusal TEXT NOT NULL,
    refused_at INTEGER NOT NULL,
    PRIMARY KEY (session_id, runtime_id)
) STRICT, WITHOUT ROWID;

-- The keys that seal, themselves sealed by the root key, which is never in here.
CREATE TABLE data_keys (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    purpose TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    -- Recognises the right key without showing it.
    check_value BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
