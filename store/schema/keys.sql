-- state: incoming (a rotation to it is under way), current, former (in force until it is retired)
CREATE TABLE master_keys (
    master_id TEXT PRIMARY KEY,
    state TEXT NOT NULL UNIQUE CHECK (state IN ('incoming', 'current', 'former')),
    since TEXT NOT NULL,
    deposit_private BLOB NOT NULL,
    deposit_public BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE data_keys (
    key_id TEXT PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('tenant', 'head')),
    app_key TEXT NOT NULL,
    client_key TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (purpose, app_key, client_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE wrapped_keys (
    key_id TEXT NOT NULL,
    master_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (key_id, master_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX wrapped_keys_master ON wrapped_keys (master_id);

CREATE TABLE erasures (
    number INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE,
    app_key TEXT NOT NULL,
    client_key TEXT NOT NULL,
    erased_at TEXT NOT NULL,
    by TEXT NOT NULL,
    origin TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;
CREATE INDEX erasures_tenant ON erasures (app_key, client_key);

-- there while bytes of deleted keys are left in the file or its WAL; times tells one clean from the next destruction
CREATE TABLE uncleaned (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    since TEXT NOT NULL,
    times INTEGER NOT NULL
) STRICT;

CREATE TABLE signed_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL,
    public_key BLOB NOT NULL,
    position INTEGER NOT NULL,
    hash TEXT NOT NULL,
    note TEXT NOT NULL,
    signed_at TEXT NOT NULL
) STRICT;

CREATE TABLE api_tokens (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- spent codes are deleted
CREATE TABLE login_codes (
    digest TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- logged out before their time, until it is over
CREATE TABLE ended_sessions (
    digest TEXT PRIMARY KEY,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
