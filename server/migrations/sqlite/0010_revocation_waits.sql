-- The runtimes that hold a token which was replaced: it is revoked once each of them has said that it uses another one,
-- or when it is due.

CREATE TABLE revocation_waits (
    credential_id TEXT NOT NULL REFERENCES revocations (id) ON DELETE CASCADE,
    runtime_id TEXT NOT NULL REFERENCES runtimes (id),
    PRIMARY KEY (credential_id, runtime_id)
) STRICT, WITHOUT ROWID;
