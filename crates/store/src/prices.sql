-- Prices as they were posted, every revision of them. This file is not derived from the journal:
-- it is what people imported, so it is migrated and never dropped. Times are ns since the epoch
-- UTC; values are micro-currency per MWh (or per MW and hour for reserve), loads are watts.
CREATE TABLE IF NOT EXISTS imports (
    id          INTEGER PRIMARY KEY,
    hash        TEXT NOT NULL,           -- blake3 of the file and of what it was read by
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    imported_ns INTEGER NOT NULL,
    posted_ns   INTEGER,                 -- NULL: not told
    rows        INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS imports_hash ON imports (hash);

CREATE TABLE IF NOT EXISTS series (
    id       INTEGER PRIMARY KEY,
    market   TEXT NOT NULL,
    point    TEXT NOT NULL,
    type     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    currency TEXT NOT NULL,
    UNIQUE (market, point, type, kind)
);

-- One row a revision: the value was first seen in a posting of `posted_ns` and last in one of
-- `last_posted_ns`, with no other value between. `run_ns` is 0 except for forecasts, of which
-- every run counts by itself.
CREATE TABLE IF NOT EXISTS revisions (
    series         INTEGER NOT NULL REFERENCES series (id),
    start_ns       INTEGER NOT NULL,
    run_ns         INTEGER NOT NULL,
    posted_ns      INTEGER NOT NULL,
    last_posted_ns INTEGER NOT NULL,
    end_ns         INTEGER NOT NULL,
    value          INTEGER NOT NULL,
    known_ns       INTEGER NOT NULL,     -- by the market's rule, for the first posting
    import         INTEGER NOT NULL REFERENCES imports (id),
    PRIMARY KEY (series, start_ns, run_ns, posted_ns)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS map (
    market     TEXT NOT NULL,
    bus        TEXT NOT NULL,
    substation TEXT NOT NULL,
    node       TEXT NOT NULL,
    zone       TEXT NOT NULL,
    hub        TEXT NOT NULL,
    PRIMARY KEY (market, bus, substation, node)
) WITHOUT ROWID;
