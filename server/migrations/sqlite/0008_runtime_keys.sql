-- Runtimes fetch the tokens of their users.

-- What runtimes show to be let in: the secret as SHA-256, so that whoever reads this file cannot show it. Revoked keys
-- stay, so that whoever comes with one learns why.
CREATE TABLE runtime_keys (
    public_id TEXT NOT NULL PRIMARY KEY,
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    -- Counts the keys of a runtime: which one is the latest must not depend on a clock.
    number INTEGER NOT NULL,
    secret BLOB NOT NULL CHECK (length(secret) = 32),
    created_at INTEGER NOT NULL,
    used_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX runtime_keys_of_runtime ON runtime_keys (runtime_id, number);

-- What each runtime holds of each user: what it fetched here, and what it says that it uses. No reference to a
-- credential: a version only names one.
CREATE TABLE holdings (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    fetched_at INTEGER,
    fetched_version TEXT,
    used_at INTEGER,
    used_version TEXT,
    PRIMARY KEY (user_id, runtime_id)
) STRICT, WITHOUT ROWID;

-- Counts whatever changes what runtimes get, so that those who wait for it need not look at all of it.
CREATE TABLE news (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL
) STRICT;

INSERT INTO news (one, number) VALUES (1, 0);

CREATE TRIGGER news_of_assignment_added AFTER INSERT ON assignments WHEN NEW.credential_id IS NOT NULL
BEGIN UPDATE news SET number = number + 1; END;

CREATE TRIGGER news_of_assignment_changed AFTER UPDATE OF credential_id ON assignments
WHEN NEW.credential_id IS NOT OLD.credential_id
BEGIN UPDATE news SET number = number + 1; END;

CREATE TRIGGER news_of_assignment_removed AFTER DELETE ON assignments WHEN OLD.credential_id IS NOT NULL
BEGIN UPDATE news SET number = number + 1; END;

CREATE TRIGGER news_of_credential AFTER UPDATE OF generation, standing, expires_at ON credentials
WHEN NEW.generation IS NOT OLD.generation OR NEW.expires_at IS NOT OLD.expires_at
    OR json_extract(NEW.standing, '$.invalid') IS NOT json_extract(OLD.standing, '$.invalid')
BEGIN UPDATE news SET number = number + 1; END;

CREATE TRIGGER news_of_user AFTER UPDATE OF disabled_at ON users
BEGIN UPDATE news SET number = number + 1; END;

CREATE TRIGGER news_of_member_added AFTER INSERT ON members
BEGIN UPDATE news SET number = number + 1; END;

CREATE TRIGGER news_of_member AFTER UPDATE OF disabled_at ON members
BEGIN UPDATE news SET number = number + 1; END;
