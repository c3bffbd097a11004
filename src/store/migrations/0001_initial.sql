-- Version 1: queue, statuses, step journal and history.
--
-- Times are RFC 3339 UTC with nine decimals, so that they sort as text. JSON columns hold what only people and
-- clients read. Rows that change often are apart from the specification, which may be large and never changes.

PRAGMA application_id = 1685089585; -- "dpm1": tells our database from others

CREATE TABLE daq (
    sequence             INTEGER PRIMARY KEY AUTOINCREMENT, -- order of queueing; never used twice
    id                   TEXT    NOT NULL UNIQUE,
    file_id              TEXT    NOT NULL,
    priority             INTEGER NOT NULL,
    user                 TEXT,
    specification_digest TEXT    NOT NULL,
    root                 TEXT, -- folder against which relative locations resolve
    created              TEXT    NOT NULL,
    sub_state            TEXT    NOT NULL,
    finished             INTEGER NOT NULL, -- 1: sub_state is final, the row is history
    alerts               TEXT    NOT NULL, -- JSON array
    result               TEXT    NOT NULL,
    message              TEXT    NOT NULL,
    updated              TEXT    NOT NULL, -- time of the last change; of a finished row, its end
    product_bytes        INTEGER,
    product_digest       TEXT,
    timings              TEXT    NOT NULL, -- JSON object: sub-state to its start
    attempts             INTEGER NOT NULL,
    parked               INTEGER NOT NULL
) STRICT;

-- Both are small: finding the active rows costs the same after 100 000 finished ones.
CREATE INDEX daq_active ON daq (sequence) WHERE finished = 0;
CREATE INDEX daq_finished ON daq (sequence) WHERE finished = 1;

CREATE TABLE specification (
    sequence INTEGER PRIMARY KEY REFERENCES daq (sequence) ON DELETE CASCADE,
    text     TEXT NOT NULL -- verbatim
) STRICT;

CREATE TABLE step (
    sequence    INTEGER NOT NULL REFERENCES daq (sequence) ON DELETE CASCADE,
    kind        TEXT    NOT NULL,
    ordinal     INTEGER NOT NULL,
    location    TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    bytes       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    digest      TEXT,
    fingerprint TEXT,
    last_error  TEXT,
    updated     TEXT    NOT NULL,
    PRIMARY KEY (sequence, kind, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE receiver (
    sequence   INTEGER NOT NULL REFERENCES daq (sequence) ON DELETE CASCADE,
    ordinal    INTEGER NOT NULL,
    receiver   TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    path       TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    last_error TEXT,
    updated    TEXT    NOT NULL,
    PRIMARY KEY (sequence, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
