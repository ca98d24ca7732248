CREATE TABLE security_contexts (
    app_key TEXT NOT NULL,
    client_key TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    installed INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    secret TEXT NOT NULL,
    secret_fingerprint TEXT NOT NULL,
    secret_version INTEGER NOT NULL,
    secret_position INTEGER NOT NULL,
    secret_since TEXT NOT NULL,
    previous_secret TEXT NOT NULL,
    previous_fingerprint TEXT NOT NULL,
    previous_version INTEGER NOT NULL,
    previous_position INTEGER NOT NULL,
    previous_since TEXT NOT NULL,
    base_url TEXT NOT NULL,
    display_url TEXT NOT NULL,
    product_type TEXT NOT NULL,
    installation_id TEXT NOT NULL,
    installed_at TEXT NOT NULL,
    uninstalled_at TEXT NOT NULL,
    erased_at TEXT NOT NULL,
    host TEXT NOT NULL,
    PRIMARY KEY (app_key, client_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX security_contexts_host ON security_contexts (host);
CREATE INDEX security_contexts_installation ON security_contexts (installation_id) WHERE installation_id <> '';
CREATE INDEX security_contexts_client ON security_contexts (client_key);

-- What is read for an unknown tenant, so that it takes as long as a known one: a row between that of a tenant whose
-- secret was replaced once and that of one that never was.
CREATE TABLE nobody AS SELECT * FROM security_contexts;
INSERT INTO nobody VALUES (
    '', printf('%036d', 0), 2, 2, 1, 1, 0, printf('%0143d', 0), printf('%016d', 0), 1, 1, printf('%027d', 0),
    printf('%070d', 0), printf('%08d', 0), 1, 1, '', printf('%026d', 0), printf('%026d', 0), 'jira', '', printf('%027d', 0), '', '',
    printf('%018d', 0)
);
