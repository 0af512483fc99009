-- What happened to each user's access, what they are told of it, and what they were told last.

-- What a user was last told about a runtime. What is so now is stored nowhere: it is derived, and compared with this.
CREATE TABLE told (
    user_id TEXT NOT NULL REFERENCES users (id),
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    -- JSON; null: nobody has looked yet, and what is found then is no news.
    sight TEXT,
    -- Counts the marks and the looks, so that nobody tells what they have not seen.
    version INTEGER NOT NULL,
    -- When somebody must look again; null: not by itself, since it is not enabled. Zero: something has changed.
    look_at INTEGER,
    -- Its user has given, replaced or deleted the token since: what that brings about is no news to them.
    own INTEGER NOT NULL CHECK (own IN (0, 1)),
    -- The last bad news was told, so that its end is worth telling.
    bad_told INTEGER NOT NULL CHECK (bad_told IN (0, 1)),
    PRIMARY KEY (user_id, runtime_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX told_to_look_at ON told (look_at) WHERE look_at IS NOT NULL;

-- What is there already is looked at, and is no news.
INSERT INTO told (user_id, runtime_id, version, look_at, own, bad_told)
SELECT user_id, runtime_id, 1, 0, 0, 0 FROM assignments;

-- Ids grow and are never given twice: a stream that broke off goes on after the last one it has seen.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL REFERENCES users (id),
    -- One of the two: what happened to a runtime's access, or to a host.
    runtime_id TEXT REFERENCES runtimes (id),
    host TEXT,
    -- Of a host: which incident, by its beginning.
    incident_at INTEGER,
    kind TEXT NOT NULL,
    -- JSON: the evidence. Neither secrets nor a provider's own text.
    detail TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- The user is told of it: in the bell, and by whatever else they have set up.
    is_notice INTEGER NOT NULL CHECK (is_notice IN (0, 1)),
    read_at INTEGER,
    CHECK ((runtime_id IS NULL) = (host IS NOT NULL))
) STRICT;

CREATE INDEX events_of_runtime ON events (user_id, runtime_id, id) WHERE runtime_id IS NOT NULL;
-- What a browser missed that was away.
CREATE INDEX events_of_user ON events (user_id, id);
CREATE INDEX events_of_host ON events (user_id, host, incident_at) WHERE host IS NOT NULL;
CREATE INDEX notices_of_user ON events (user_id, id) WHERE is_notice = 1;
CREATE INDEX notices_unread ON events (user_id) WHERE is_notice = 1 AND read_at IS NULL;
CREATE INDEX events_by_age ON events (at);

-- Hidden until then; null: until its user shows them again.
ALTER TABLE mutes ADD COLUMN until INTEGER;

-- Whoever is not in here wants notices.
CREATE TABLE notice_settings (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1))
) STRICT, WITHOUT ROWID;

-- When its users were told that it began, and that it ended.
ALTER TABLE incidents ADD COLUMN told_began_at INTEGER;
ALTER TABLE incidents ADD COLUMN told_ended_at INTEGER;

-- What is over already is nobody's business any more.
UPDATE incidents SET told_began_at = began_at, told_ended_at = ended_at WHERE ended_at IS NOT NULL;

CREATE INDEX incidents_to_tell ON incidents (began_at) WHERE told_began_at IS NULL OR told_ended_at IS NULL;
