-- Checks in the background: when each credential is asked about again, by whom, and how its host is.

-- Null: not by itself any more, only when its user does something. Written with each verdict. These columns lie behind
-- the ciphertext, which matters only for the few tokens that are longer than a page.
ALTER TABLE credentials ADD COLUMN due_at INTEGER;
-- Some process asks about it, until then.
ALTER TABLE credentials ADD COLUMN checking_until INTEGER;

-- Those that are there were never asked about by themselves: within the hour, not all at once.
UPDATE credentials SET due_at = unixepoch() * 1000000 + abs(random() % 3600) * 1000000;

-- Holds all that choosing the next ones needs, so that the rows themselves are not touched.
CREATE INDEX credentials_due ON credentials (provider_id, due_at, checking_until, user_id, id);

-- What all processes must know of a host before they ask it anything. JSON, read and written as a whole; the version
-- counts its writes, so that nobody writes over what they have not read.
CREATE TABLE hosts (
    host TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When a host was in trouble as a whole.
CREATE TABLE incidents (
    host TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('unreachable', 'limiting', 'refusing')),
    -- Null: it goes on.
    ended_at INTEGER,
    PRIMARY KEY (host, began_at)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_incident ON incidents (host) WHERE ended_at IS NULL;
CREATE INDEX incidents_that_ended ON incidents (ended_at) WHERE ended_at IS NOT NULL;
