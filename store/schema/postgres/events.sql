CREATE TABLE events (
    position BIGINT PRIMARY KEY CHECK (position > 0),
    version BIGINT NOT NULL CHECK (version > 0),
    type TEXT COLLATE "C" NOT NULL,
    app_key TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL,
    recorded_at TEXT COLLATE "C" NOT NULL,
    proof TEXT COLLATE "C" NOT NULL,
    changed TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" NOT NULL,
    token_fingerprint TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    UNIQUE (app_key, client_key, version)
);
CREATE INDEX events_recorded_at ON events (recorded_at);
CREATE INDEX events_client_key ON events (client_key, position);
CREATE INDEX events_type ON events (type, position);
CREATE INDEX events_kid ON events ((proof::json ->> 'kid'), position) WHERE proof::json ->> 'kid' IS NOT NULL;

CREATE TABLE log_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    position BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL
);
INSERT INTO log_head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TABLE spent_tokens (
    fingerprint TEXT COLLATE "C" PRIMARY KEY,
    body_digest TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    app_key TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL,
    spent_at TEXT COLLATE "C" NOT NULL
);

CREATE TABLE install_keys (
    host TEXT COLLATE "C" NOT NULL,
    kid TEXT COLLATE "C" NOT NULL,
    pem TEXT COLLATE "C" NOT NULL,
    fetched_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (host, kid)
);

CREATE FUNCTION tenure_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is immutable', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

-- The head moves with the event, and only to the next position: whoever inserts holds its row's lock to the commit.
-- With its owner's rights, so that a role that may only INSERT events cannot move the head by itself. Nobody else may
-- put it on a table, and names are looked for here first, never among the caller's temporary tables (`migrations`).
CREATE FUNCTION tenure_append() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'events'::regclass THEN
        RAISE EXCEPTION 'only events move the head' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE log_head SET position = NEW.position, hash = NEW.hash WHERE id = 1 AND position = NEW.position - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'events are appended at the head only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

REVOKE EXECUTE ON FUNCTION tenure_append() FROM PUBLIC;

CREATE TRIGGER events_append BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION tenure_append();
CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION tenure_immutable();
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION tenure_immutable();
CREATE TRIGGER spent_tokens_no_change BEFORE UPDATE OR DELETE ON spent_tokens FOR EACH ROW EXECUTE FUNCTION tenure_immutable();
CREATE TRIGGER spent_tokens_no_truncate BEFORE TRUNCATE ON spent_tokens FOR EACH STATEMENT EXECUTE FUNCTION tenure_immutable();
CREATE TRIGGER log_head_no_delete BEFORE DELETE ON log_head FOR EACH ROW EXECUTE FUNCTION tenure_immutable();
CREATE TRIGGER log_head_no_truncate BEFORE TRUNCATE ON log_head FOR EACH STATEMENT EXECUTE FUNCTION tenure_immutable();

-- Without ALWAYS a session with session_replication_role = replica would walk past them.
ALTER TABLE events ENABLE ALWAYS TRIGGER events_append;
ALTER TABLE events ENABLE ALWAYS TRIGGER events_no_change;
ALTER TABLE events ENABLE ALWAYS TRIGGER events_no_truncate;
ALTER TABLE spent_tokens ENABLE ALWAYS TRIGGER spent_tokens_no_change;
ALTER TABLE spent_tokens ENABLE ALWAYS TRIGGER spent_tokens_no_truncate;
ALTER TABLE log_head ENABLE ALWAYS TRIGGER log_head_no_delete;
ALTER TABLE log_head ENABLE ALWAYS TRIGGER log_head_no_truncate;
