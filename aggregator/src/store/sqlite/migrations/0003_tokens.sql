-- Who may ask and write: digests of tokens, not the tokens. A row stays when its token is revoked, so that a
-- ledger that once had tokens is never open again.

CREATE TABLE token (
    id         TEXT PRIMARY KEY,
    sha256     BLOB NOT NULL,
    -- ingest, read, admin.
    role       TEXT NOT NULL,
    -- Of an ingest token: whose batches it may write. Empty for the others.
    cluster    TEXT NOT NULL,
    node       TEXT NOT NULL,
    note       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    -- NULL: never.
    expires_ms INTEGER,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;
