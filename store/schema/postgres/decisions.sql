-- One row: number is that of the last decision, ends the first number that no slice is made for, sealed the number up to
-- which the log vouches for them. Whoever writes anything here locks it first and holds it to the commit, so that numbers
-- are the order of commits and nobody waits in a circle. cleared: up to which mark of erasure what is personal was taken
-- out, and when that mark was made.
CREATE TABLE decision_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    sealed BIGINT NOT NULL,
    cleared BIGINT NOT NULL,
    cleared_at TEXT COLLATE "C" NOT NULL
);
INSERT INTO decision_head VALUES (1, 0, 10001, 0, 0, '');

-- accepted and refused lie in slices of their own, each of a span of numbers, because they go at their own time
CREATE TABLE decisions (
    number BIGINT NOT NULL,
    decision TEXT COLLATE "C" NOT NULL,
    at TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    verdict TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL,
    claimed_client_key TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    status INTEGER NOT NULL,
    took_ms DOUBLE PRECISION NOT NULL,
    read_position BIGINT NOT NULL,
    identifier TEXT COLLATE "C" NOT NULL,
    kid TEXT COLLATE "C" NOT NULL,
    address_mark TEXT COLLATE "C" NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (number, verdict)
) PARTITION BY RANGE (verdict, number);
CREATE INDEX decisions_decision ON decisions (decision);
CREATE INDEX decisions_at ON decisions (at);
CREATE INDEX decisions_tenant ON decisions (client_key, number) WHERE client_key <> '';
CREATE INDEX refused_kind ON decisions (kind, number) WHERE verdict = 'refused';
CREATE INDEX refused_reason ON decisions (reason, number) WHERE verdict = 'refused';
CREATE INDEX refused_claimed ON decisions (claimed_client_key, number) WHERE verdict = 'refused';
CREATE INDEX refused_path ON decisions (path, number) WHERE verdict = 'refused';
CREATE INDEX refused_identifier ON decisions (identifier, number) WHERE verdict = 'refused' AND identifier <> '';
CREATE INDEX refused_kid ON decisions (kid, number) WHERE verdict = 'refused' AND kid <> '';
CREATE INDEX refused_address ON decisions (address_mark, number) WHERE verdict = 'refused';

-- the slices: a table each, decisions_<verdict>_<first>, of the numbers from first on and before until. let_go: no part
-- of decisions any more; its numbers up to subtracted are taken out of the counts already
CREATE TABLE decision_slices (
    verdict TEXT COLLATE "C" NOT NULL CHECK (verdict IN ('accepted', 'refused')),
    first BIGINT NOT NULL,
    until BIGINT NOT NULL,
    let_go BOOLEAN NOT NULL,
    subtracted BIGINT NOT NULL,
    PRIMARY KEY (verdict, first)
);
CREATE TABLE decisions_accepted_1 PARTITION OF decisions FOR VALUES FROM ('accepted', 1) TO ('accepted', 10001);
CREATE TABLE decisions_refused_1 PARTITION OF decisions FOR VALUES FROM ('refused', 1) TO ('refused', 10001);
INSERT INTO decision_slices VALUES ('accepted', 1, 10001, false, 0), ('refused', 1, 10001, false, 0);

CREATE TABLE let_go (
    verdict TEXT COLLATE "C" PRIMARY KEY,
    until BIGINT NOT NULL
);

CREATE TABLE counts (
    hour TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    verdict TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    counted BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    PRIMARY KEY (hour, client_key, kind, verdict, reason)
);
CREATE INDEX counts_tenant ON counts (client_key) WHERE client_key <> '';

CREATE TABLE hours (
    hour TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    verdict TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    counted BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    PRIMARY KEY (hour, kind, verdict, reason)
);

CREATE TABLE totals (
    kind TEXT COLLATE "C" NOT NULL,
    verdict TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    counted BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    withdrawn BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    took_ms DOUBLE PRECISION NOT NULL,
    within_1 BIGINT NOT NULL,
    within_5 BIGINT NOT NULL,
    within_25 BIGINT NOT NULL,
    within_100 BIGINT NOT NULL,
    within_250 BIGINT NOT NULL,
    within_1000 BIGINT NOT NULL,
    within_5000 BIGINT NOT NULL,
    PRIMARY KEY (kind, verdict, reason)
) WITH (fillfactor = 50);

CREATE TABLE upstream (
    status INTEGER PRIMARY KEY,
    answers BIGINT NOT NULL
);

CREATE TABLE room (
    reason TEXT COLLATE "C" PRIMARY KEY,
    room DOUBLE PRECISION NOT NULL,
    at DOUBLE PRECISION NOT NULL
);

CREATE TABLE deliveries (
    client_key TEXT COLLATE "C" NOT NULL,
    identifier TEXT COLLATE "C" NOT NULL,
    taken_at DOUBLE PRECISION,
    claimed_until DOUBLE PRECISION NOT NULL,
    decision TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (client_key, identifier)
);
CREATE INDEX deliveries_taken_at ON deliveries (taken_at);

CREATE TABLE failed_tokens (
    address_mark TEXT COLLATE "C" NOT NULL,
    at DOUBLE PRECISION NOT NULL
);
CREATE INDEX failed_tokens_address ON failed_tokens (address_mark, at);
CREATE INDEX failed_tokens_at ON failed_tokens (at);

CREATE TABLE alarms (
    number BIGINT PRIMARY KEY,
    alarm TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    at TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL,
    item TEXT COLLATE "C" NOT NULL,
    began BIGINT NOT NULL,
    open INTEGER NOT NULL,
    due DOUBLE PRECISION,
    attempts INTEGER NOT NULL
);
CREATE UNIQUE INDEX alarms_open ON alarms (client_key) WHERE open = 1;
CREATE INDEX alarms_tenant ON alarms (client_key);
CREATE INDEX alarms_at ON alarms (at);
CREATE INDEX alarms_due ON alarms (due) WHERE due IS NOT NULL;

CREATE TABLE alarm_totals (
    kind TEXT COLLATE "C" PRIMARY KEY,
    raised BIGINT NOT NULL
);

CREATE TABLE alarm_watch (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL,
    position BIGINT NOT NULL,
    watches TEXT COLLATE "C" NOT NULL
);
