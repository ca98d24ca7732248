-- Rows of destroyed keys are to leave the tables by the server's own doing, too: autovacuum comes at the first of them.

-- state: incoming (a rotation to it is under way), current, former (in force until it is retired)
CREATE TABLE master_keys (
    master_id TEXT COLLATE "C" PRIMARY KEY,
    state TEXT COLLATE "C" NOT NULL UNIQUE CHECK (state IN ('incoming', 'current', 'former')),
    since TEXT COLLATE "C" NOT NULL,
    deposit_private BYTEA NOT NULL,
    deposit_public BYTEA NOT NULL
);

CREATE TABLE data_keys (
    key_id TEXT COLLATE "C" PRIMARY KEY,
    purpose TEXT COLLATE "C" NOT NULL CHECK (purpose IN ('tenant', 'head')),
    app_key TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    UNIQUE (purpose, app_key, client_key)
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE wrapped_keys (
    key_id TEXT COLLATE "C" NOT NULL,
    master_id TEXT COLLATE "C" NOT NULL,
    wrapped BYTEA NOT NULL,
    PRIMARY KEY (key_id, master_id)
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX wrapped_keys_master ON wrapped_keys (master_id);

CREATE TABLE erasures (
    number BIGINT PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL UNIQUE,
    app_key TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL,
    erased_at TEXT COLLATE "C" NOT NULL,
    by TEXT COLLATE "C" NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    why TEXT COLLATE "C" NOT NULL
);
CREATE INDEX erasures_tenant ON erasures (app_key, client_key);

-- there while rows of deleted keys were not vacuumed; times tells one VACUUM from the next destruction
CREATE TABLE uncleaned (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    since TEXT COLLATE "C" NOT NULL,
    times BIGINT NOT NULL
);

CREATE TABLE signed_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    origin TEXT COLLATE "C" NOT NULL,
    public_key BYTEA NOT NULL,
    position BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    note TEXT COLLATE "C" NOT NULL,
    signed_at TEXT COLLATE "C" NOT NULL
);

CREATE TABLE api_tokens (
    name TEXT COLLATE "C" PRIMARY KEY,
    digest TEXT COLLATE "C" NOT NULL UNIQUE,
    scopes TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    expires_at TEXT COLLATE "C" NOT NULL,
    revoked_at TEXT COLLATE "C" NOT NULL
);

-- spent codes are deleted
CREATE TABLE login_codes (
    digest TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    expires_at TEXT COLLATE "C" NOT NULL
);

-- logged out before their time, until it is over
CREATE TABLE ended_sessions (
    digest TEXT COLLATE "C" PRIMARY KEY,
    expires_at TEXT COLLATE "C" NOT NULL
);
