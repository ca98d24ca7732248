CREATE TABLE security_contexts (
    app_key TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    installed INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    secret TEXT COLLATE "C" NOT NULL,
    secret_fingerprint TEXT COLLATE "C" NOT NULL,
    secret_version BIGINT NOT NULL,
    secret_position BIGINT NOT NULL,
    secret_since TEXT COLLATE "C" NOT NULL,
    previous_secret TEXT COLLATE "C" NOT NULL,
    previous_fingerprint TEXT COLLATE "C" NOT NULL,
    previous_version BIGINT NOT NULL,
    previous_position BIGINT NOT NULL,
    previous_since TEXT COLLATE "C" NOT NULL,
    base_url TEXT COLLATE "C" NOT NULL,
    display_url TEXT COLLATE "C" NOT NULL,
    product_type TEXT COLLATE "C" NOT NULL,
    installation_id TEXT COLLATE "C" NOT NULL,
    installed_at TEXT COLLATE "C" NOT NULL,
    uninstalled_at TEXT COLLATE "C" NOT NULL,
    erased_at TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (app_key, client_key)
);
CREATE INDEX security_contexts_host ON security_contexts (host);
CREATE INDEX security_contexts_installation ON security_contexts (installation_id) WHERE installation_id <> '';
CREATE INDEX security_contexts_client ON security_contexts (client_key);

-- What is read for an unknown tenant, so that it takes as long as a known one: a row between that of a tenant whose
-- secret was replaced once and that of one that never was.
CREATE TABLE nobody (LIKE security_contexts);
INSERT INTO nobody VALUES (
    '', repeat('0', 36), 2, 2, 1, 1, 0, repeat('0', 143), repeat('0', 16), 1, 1, repeat('0', 27),
    repeat('0', 70), repeat('0', 8), 1, 1, '', repeat('0', 26), repeat('0', 26), 'jira', '', repeat('0', 27), '', '',
    repeat('0', 18)
);
