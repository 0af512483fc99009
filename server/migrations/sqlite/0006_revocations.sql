-- What became of tokens that their users took away from the last runtime: to be ended at the provider, ended, or left to
-- their owners. Apart from the credentials, so that nothing that is asked about those ever meets one that is gone.

CREATE TABLE revocations (
    -- The credential's, to which its secrets stay sealed.
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    -- Where it served last.
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    provider_id TEXT NOT NULL REFERENCES providers (id),
    method TEXT NOT NULL CHECK (method IN ('token', 'oauth2')),
    kind TEXT NOT NULL,
    oauth_app TEXT,
    generation INTEGER NOT NULL,
    owner_id TEXT NOT NULL,
    owner_login TEXT NOT NULL,
    user_name TEXT,
    asked_at INTEGER NOT NULL,
    -- The provider is asked no longer than until then.
    give_up_at INTEGER NOT NULL,
    -- When it is asked next. Null: it is over.
    due_at INTEGER,
    -- Some process asks, until then.
    lease_until INTEGER,
    tries INTEGER NOT NULL,
    -- Since when the provider says that it does not know it, by its clock, and how often it has said so.
    unknown_since INTEGER,
    unknown_times INTEGER NOT NULL DEFAULT 0,
    -- Of one that is in use: the credential that holds the same token, if that is another one.
    twin_id TEXT,
    -- Null: it goes on.
    outcome TEXT CHECK (outcome IN ('revoked', 'handed-over', 'in-use', 'by-hand', 'given-up')),
    ended_at INTEGER,
    sealed BLOB,
    -- Secrets are kept as long as they are needed, and no longer.
    CHECK ((outcome IS NULL) = (due_at IS NOT NULL)),
    CHECK ((outcome IS NULL) = (sealed IS NOT NULL)),
    CHECK ((outcome IS NULL) = (ended_at IS NULL))
) STRICT;

CREATE INDEX revocations_of_user ON revocations (user_id);
CREATE INDEX revocations_due ON revocations (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX revocations_over ON revocations (ended_at) WHERE ended_at IS NOT NULL;

-- Whoever ends a token looks whether another credential of that account holds the same one.
CREATE INDEX credentials_of_owner ON credentials (provider_id, owner_id);

-- Authorizations that have come back and are being finished: what they bring is not among the credentials yet, and must
-- not end with an older grant of the same account. Not bound to their sessions, which may end meanwhile.
CREATE TABLE attempts_taken (
    state BLOB NOT NULL PRIMARY KEY CHECK (length(state) = 32),
    oauth_app TEXT NOT NULL,
    begun_at INTEGER NOT NULL
) STRICT;

-- The token in use is to be revoked once the authorization has brought another.
ALTER TABLE login_attempts ADD COLUMN revoke INTEGER NOT NULL DEFAULT 0 CHECK (revoke IN (0, 1));
