-- Notices on their way out of the house: where each user wants them, and how each delivery went.

CREATE TABLE mail_settings (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    mode TEXT NOT NULL CHECK (mode IN ('off', 'each', 'daily')),
    -- Of the day in UTC, for the one mail a day.
    hour INTEGER NOT NULL CHECK (hour BETWEEN 0 AND 23),
    -- Mail goes there; null: nowhere yet.
    address TEXT,
    -- Nothing goes there but the question whether it is the user's. The one that is confirmed stays in use meanwhile.
    unconfirmed TEXT,
    secret BLOB CHECK (length(secret) = 32),
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

-- One for each user. A new address or format is a new webhook.
CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    format TEXT NOT NULL CHECK (format IN ('standard', 'slack')),
    -- Scheme and host: all of the address that may be shown, since the rest of it may be a secret.
    shown TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- The target said that it is gone for good.
    gone_at INTEGER,
    sealed BLOB NOT NULL
) STRICT;

-- What the configuration declares, as far as a notice must know it to be delivered; addresses and secrets stay there.
CREATE TABLE account_webhooks (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    -- SHA-256 of format and address: another one is a new chance for a target that was gone.
    target BLOB NOT NULL CHECK (length(target) = 32),
    gone_at INTEGER,
    PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id),
    way TEXT NOT NULL CHECK (way IN ('mail', 'digest', 'webhook', 'account')),
    -- Of a digest: its moment, so that all of one moment are one mail, also when it must be sent again. Of a webhook:
    -- its id. Of an account's: the account and its name.
    target TEXT NOT NULL,
    -- What goes to one place goes one after the other: `mail/USER`, `webhook/ID`, `account/ID/NAME`.
    lane TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    -- When it is tried; null: not any more.
    due_at INTEGER,
    -- Some process is trying, until then.
    leased_until INTEGER,
    attempts INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'given_up', 'dropped')),
    -- What came of the last attempt, in Gitward's own words.
    answer TEXT,
    tried_at INTEGER,
    UNIQUE (event_id, way, target),
    CHECK ((state = 'waiting') = (due_at IS NOT NULL))
) STRICT;

CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_of_lane ON deliveries (lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_under_way ON deliveries (lane, leased_until) WHERE leased_until IS NOT NULL;
CREATE INDEX deliveries_of_user ON deliveries (user_id, id);
CREATE INDEX deliveries_to_accounts ON deliveries (target, id) WHERE way = 'account';
CREATE INDEX deliveries_done ON deliveries (tried_at) WHERE due_at IS NULL;
