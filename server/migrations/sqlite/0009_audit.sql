-- What happened, in order. Rows are only ever added: no statement of Gitward changes or deletes one.
--
-- No reference to other tables: what happened stays so when its user, runtime or token is gone.
CREATE TABLE audit (
    -- 1, 2, 3, …: a gap is a row that is missing.
    sequence INTEGER NOT NULL PRIMARY KEY CHECK (sequence > 0),
    at INTEGER NOT NULL,
    actor TEXT NOT NULL CHECK (actor IN ('user', 'runtime-key', 'operator', 'stranger', 'gitward')),
    actor_id TEXT,
    actor_name TEXT,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'refused')),
    reason TEXT,
    -- Whose things it is about, which decides who may read it.
    user_id TEXT,
    account_id TEXT,
    runtime_id TEXT,
    object TEXT,
    detail TEXT,
    request_id TEXT,
    address TEXT,
    -- SHA-256 over the row and the hash of the one before it.
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX audit_of_user ON audit (user_id, sequence) WHERE user_id IS NOT NULL;
CREATE INDEX audit_of_account ON audit (account_id, sequence) WHERE account_id IS NOT NULL;

-- Where the log ends, sealed by a key that is not in here in the clear: who removes the last rows can't seal another
-- end.
CREATE TABLE audit_head (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    sealed BLOB NOT NULL
) STRICT;
