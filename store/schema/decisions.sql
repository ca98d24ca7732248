CREATE TABLE decisions (
    decision TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    client_key TEXT NOT NULL,
    claimed_client_key TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    took_ms REAL NOT NULL,
    read_position INTEGER NOT NULL,
    facts TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    client_key TEXT NOT NULL,
    identifier TEXT NOT NULL,
    taken_at REAL NOT NULL,
    PRIMARY KEY (client_key, identifier)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_taken_at ON deliveries (taken_at);
