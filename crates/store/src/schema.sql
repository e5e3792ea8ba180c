-- What people query. All of it is derived from the journal and from imports: it can be dropped
-- and made again. Units are in the names: ns since the epoch UTC, w, ws (watt-seconds); prices
-- are micro-currency per MWh and money is micro-currency, so that nothing is rounded on the way.
CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS decisions (
    seq            INTEGER PRIMARY KEY,  -- the event that caused it
    at_ns          INTEGER NOT NULL,
    mode           TEXT NOT NULL,
    target_w       INTEGER NOT NULL,
    planned_w      INTEGER NOT NULL,
    measured_w     INTEGER,
    expected_price INTEGER,
    preferred_w    INTEGER NOT NULL,
    rungs          TEXT NOT NULL,        -- names of the limits that narrowed, in order of right
    text           TEXT NOT NULL,        -- as `explain` shows it
    json           TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS decisions_at ON decisions (at_ns);

CREATE TABLE IF NOT EXISTS intervals (
    start_ns        INTEGER PRIMARY KEY,
    end_ns          INTEGER NOT NULL,
    energy_ws       INTEGER,             -- NULL: not measured, which is not zero
    price           INTEGER,
    price_basis     TEXT,
    energy_cost     INTEGER,
    compute_revenue INTEGER,
    sell_back       INTEGER,
    other_cost      INTEGER,
    starts          INTEGER NOT NULL,
    seq             INTEGER NOT NULL     -- the event that last changed it
);

CREATE TABLE IF NOT EXISTS prices (
    point       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    start_ns    INTEGER NOT NULL,
    end_ns      INTEGER NOT NULL,
    price       INTEGER NOT NULL,
    known_at_ns INTEGER NOT NULL,
    PRIMARY KEY (point, kind, start_ns, known_at_ns)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS alarms (
    seq    INTEGER NOT NULL,
    alarm  TEXT NOT NULL,
    raised INTEGER NOT NULL,
    at_ns  INTEGER NOT NULL,
    text   TEXT NOT NULL,
    PRIMARY KEY (seq, alarm, raised)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS operator (
    seq    INTEGER PRIMARY KEY,
    at_ns  INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    act    TEXT NOT NULL,
    reason TEXT NOT NULL
);
