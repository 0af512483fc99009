-- Accounts have mailboxes beside their webhooks: one more way for what is to be delivered.

CREATE TABLE account_targets (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    -- A webhook, or a mailbox.
    way TEXT NOT NULL CHECK (way IN ('account', 'account_mail')),
    name TEXT NOT NULL,
    -- SHA-256 of where it is and what it is sent: another one is a new chance for a target that was gone.
    target BLOB NOT NULL CHECK (length(target) = 32),
    gone_at INTEGER,
    PRIMARY KEY (account_id, way, name)
) STRICT, WITHOUT ROWID;

INSERT INTO account_targets (account_id, way, name, target, gone_at)
SELECT account_id, 'account', name, target, gone_at FROM account_webhooks;
DROP TABLE account_webhooks;

-- SQLite changes no check, so that the table is made anew; all else is as it was.
CREATE TABLE deliveries_anew (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id),
    way TEXT NOT NULL CHECK (way IN ('mail', 'digest', 'webhook', 'account', 'account_mail')),
    -- Of a digest: its moment, so that all of one moment are one mail, also when it must be sent again. Of a webhook:
    -- its id. Of an account's webhook or mailbox: the account and its name.
    target TEXT NOT NULL,
    -- What goes to one place goes one after the other: `mail/USER`, `webhook/ID`, `account/ID/NAME`,
    -- `account_mail/ID/NAME`.
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

INSERT INTO deliveries_anew (id, event_id, user_id, way, target, lane, made_at, due_at, leased_until, attempts, state,
    answer, tried_at)
SELECT id, event_id, user_id, way, target, lane, made_at, due_at, leased_until, attempts, state, answer, tried_at
FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_anew RENAME TO deliveries;

CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_of_lane ON deliveries (lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_under_way ON deliveries (lane, leased_until) WHERE leased_until IS NOT NULL;
CREATE INDEX deliveries_of_user ON deliveries (user_id, id);
CREATE INDEX deliveries_to_accounts ON deliveries (target, id) WHERE way IN ('account', 'account_mail');
CREATE INDEX deliveries_done ON deliveries (tried_at) WHERE due_at IS NULL;
