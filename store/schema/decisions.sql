-- number is the order of commits: whoever reads on from a number misses nothing that commits later
CREATE TABLE decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    decision TEXT NOT NULL UNIQUE,
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
    identifier TEXT NOT NULL,
    kid TEXT NOT NULL,
    address_mark TEXT NOT NULL,
    facts TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_at ON decisions (at);
CREATE INDEX decisions_tenant ON decisions (client_key) WHERE client_key <> '';
CREATE INDEX refused_number ON decisions (number) WHERE verdict = 'refused';
CREATE INDEX refused_kind ON decisions (kind) WHERE verdict = 'refused';
CREATE INDEX refused_reason ON decisions (reason) WHERE verdict = 'refused';
CREATE INDEX refused_claimed ON decisions (claimed_client_key) WHERE verdict = 'refused';
CREATE INDEX refused_path ON decisions (path) WHERE verdict = 'refused';
CREATE INDEX refused_identifier ON decisions (identifier) WHERE verdict = 'refused' AND identifier <> '';
CREATE INDEX refused_kid ON decisions (kid) WHERE verdict = 'refused' AND kid <> '';
CREATE INDEX refused_address ON decisions (address_mark) WHERE verdict = 'refused';

-- up to which number the log vouches for the decisions: none of them is changed any more, but by forgetting
CREATE TABLE decision_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sealed INTEGER NOT NULL
) STRICT;
INSERT INTO decision_head VALUES (1, 0);

-- how far retention has removed the decisions of a verdict: all up to a number
CREATE TABLE let_go (
    verdict TEXT PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- exact, by the hour; kept is how many of them are still rows of decisions
CREATE TABLE counts (
    hour TEXT NOT NULL,
    client_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    counted INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    PRIMARY KEY (hour, client_key, kind, verdict, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX counts_tenant ON counts (client_key) WHERE client_key <> '';

-- the same for all tenants together, so that a question for all of them reads few rows
CREATE TABLE hours (
    hour TEXT NOT NULL,
    kind TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    counted INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    PRIMARY KEY (hour, kind, verdict, reason)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER counts_first AFTER INSERT ON counts BEGIN
    INSERT INTO hours VALUES (NEW.hour, NEW.kind, NEW.verdict, NEW.reason, NEW.counted, NEW.kept)
    ON CONFLICT DO UPDATE SET counted = counted + NEW.counted, kept = kept + NEW.kept;
END;
CREATE TRIGGER counts_more AFTER UPDATE ON counts BEGIN
    UPDATE hours SET counted = counted + NEW.counted - OLD.counted, kept = kept + NEW.kept - OLD.kept
    WHERE hour = NEW.hour AND kind = NEW.kind AND verdict = NEW.verdict AND reason = NEW.reason;
END;

-- for ever, only growing: what /metrics shows. withdrawn: counted here, but answered otherwise (and counted there too)
CREATE TABLE totals (
    kind TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    counted INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    withdrawn INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    took_ms REAL NOT NULL,
    within_1 INTEGER NOT NULL,
    within_5 INTEGER NOT NULL,
    within_25 INTEGER NOT NULL,
    within_100 INTEGER NOT NULL,
    within_250 INTEGER NOT NULL,
    within_1000 INTEGER NOT NULL,
    within_5000 INTEGER NOT NULL,
    PRIMARY KEY (kind, verdict, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE upstream (
    status INTEGER PRIMARY KEY,
    answers INTEGER NOT NULL
) STRICT;

-- how many refusals of a reason may be kept just now, and of all ('')
CREATE TABLE room (
    reason TEXT PRIMARY KEY,
    room REAL NOT NULL,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- a webhook is claimed by who passes it on, until it is taken or the claim ends
CREATE TABLE deliveries (
    client_key TEXT NOT NULL,
    identifier TEXT NOT NULL,
    taken_at REAL,
    claimed_until REAL NOT NULL,
    decision TEXT NOT NULL,
    PRIMARY KEY (client_key, identifier)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_taken_at ON deliveries (taken_at);

CREATE TABLE failed_tokens (
    address_mark TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX failed_tokens_address ON failed_tokens (address_mark, at);
CREATE INDEX failed_tokens_at ON failed_tokens (at);

-- what the service said unasked: an item when an alarm is raised and one when it ends; open: raised and not ended.
-- due: when the item is to be posted (again); null: nothing to post
CREATE TABLE alarms (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    alarm TEXT NOT NULL,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    client_key TEXT NOT NULL,
    item TEXT NOT NULL,
    began INTEGER NOT NULL,
    open INTEGER NOT NULL,
    due REAL,
    attempts INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX alarms_open ON alarms (client_key) WHERE open = 1;
CREATE INDEX alarms_tenant ON alarms (client_key);
CREATE INDEX alarms_at ON alarms (at);
CREATE INDEX alarms_due ON alarms (due) WHERE due IS NOT NULL;

CREATE TABLE alarm_totals (
    kind TEXT PRIMARY KEY,
    raised INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- tenants that may be in trouble, and how far both logs were looked at: one row
CREATE TABLE alarm_watch (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    watches TEXT NOT NULL
) STRICT;
