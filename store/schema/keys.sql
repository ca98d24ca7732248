CREATE TABLE tenant_keys (
    app_key TEXT NOT NULL,
    client_key TEXT NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    master_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (app_key, client_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE master_keys (
    master_id TEXT PRIMARY KEY,
    current INTEGER NOT NULL,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_tokens (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
