CREATE TABLE events (
    position INTEGER PRIMARY KEY CHECK (position > 0),
    version INTEGER NOT NULL CHECK (version > 0),
    type TEXT NOT NULL,
    app_key TEXT NOT NULL,
    client_key TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    proof TEXT NOT NULL,
    changed TEXT NOT NULL,
    data TEXT NOT NULL,
    token_fingerprint TEXT NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (app_key, client_key, version)
) STRICT;
CREATE INDEX events_recorded_at ON events (recorded_at);
CREATE INDEX events_client_key ON events (client_key);
CREATE INDEX events_type ON events (type);
CREATE INDEX events_kid ON events (json_extract(proof, '$.kid')) WHERE json_extract(proof, '$.kid') IS NOT NULL;

CREATE TABLE log_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
INSERT INTO log_head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TABLE spent_tokens (
    fingerprint TEXT PRIMARY KEY,
    body_digest TEXT NOT NULL,
    outcome TEXT NOT NULL,
    app_key TEXT NOT NULL,
    client_key TEXT NOT NULL,
    spent_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE install_keys (
    host TEXT NOT NULL,
    kid TEXT NOT NULL,
    pem TEXT NOT NULL,
    fetched_at TEXT NOT NULL,
    PRIMARY KEY (host, kid)
) STRICT, WITHOUT ROWID;

-- INSERT OR REPLACE walks through UPDATE and DELETE triggers unless recursive_triggers is on: the third closes it.
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are immutable'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are immutable'); END;
CREATE TRIGGER events_no_replace BEFORE INSERT ON events
WHEN NEW.position <> (SELECT position FROM log_head WHERE id = 1) + 1
    OR EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
    OR EXISTS (SELECT 1 FROM events WHERE app_key = NEW.app_key AND client_key = NEW.client_key
               AND version = NEW.version)
BEGIN SELECT RAISE(ABORT, 'events are appended at the head only'); END;
CREATE TRIGGER spent_tokens_no_update BEFORE UPDATE ON spent_tokens
BEGIN SELECT RAISE(ABORT, 'spent tokens are immutable'); END;
CREATE TRIGGER spent_tokens_no_delete BEFORE DELETE ON spent_tokens
BEGIN SELECT RAISE(ABORT, 'spent tokens are immutable'); END;
CREATE TRIGGER spent_tokens_no_replace BEFORE INSERT ON spent_tokens
WHEN EXISTS (SELECT 1 FROM spent_tokens WHERE fingerprint = NEW.fingerprint)
BEGIN SELECT RAISE(ABORT, 'spent tokens are immutable'); END;
