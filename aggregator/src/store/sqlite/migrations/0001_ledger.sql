-- The ledger. Times are milliseconds since 1970-01-01T00:00:00Z, minutes are such times divided by 60,000;
-- energy is in microjoules. The application id ("HXML") tells a ledger from other SQLite files.
PRAGMA application_id = 1213746508;

-- Dictionaries: names once, numbers everywhere else.

CREATE TABLE site (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    -- NULL: nobody said which grid feeds it, so there are no grams.
    intensity_zone TEXT,
    pue            REAL NOT NULL DEFAULT 1.0
) STRICT;

CREATE TABLE node (
    id           INTEGER PRIMARY KEY,
    cluster      TEXT NOT NULL,
    node         TEXT NOT NULL,
    -- Of its last batch.
    site_id      INTEGER REFERENCES site (id),
    last_seen_ms INTEGER NOT NULL DEFAULT 0,
    UNIQUE (cluster, node)
) STRICT;

CREATE TABLE zone (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    -- Empty: additive.
    parent   TEXT NOT NULL,
    modelled INTEGER NOT NULL,
    UNIQUE (name, parent, modelled)
) STRICT;

CREATE TABLE workload (
    id        INTEGER PRIMARY KEY,
    workflow  TEXT NOT NULL,
    run       TEXT NOT NULL,
    stage     TEXT NOT NULL,
    component TEXT NOT NULL,
    namespace TEXT NOT NULL,
    pod       TEXT NOT NULL,
    container TEXT NOT NULL,
    UNIQUE (workflow, run, stage, component, namespace, pod, container)
) STRICT;

-- A run with an empty id gathers the stages of a workflow that belong to no run.
CREATE TABLE run (
    id       INTEGER PRIMARY KEY,
    cluster  TEXT NOT NULL,
    workflow TEXT NOT NULL,
    run      TEXT NOT NULL,
    UNIQUE (cluster, workflow, run)
) STRICT;

CREATE TABLE run_node (
    run_id  INTEGER NOT NULL REFERENCES run (id),
    node_id INTEGER NOT NULL REFERENCES node (id),
    PRIMARY KEY (run_id, node_id)
) STRICT, WITHOUT ROWID;

-- The raw form: each batch as it came.

CREATE TABLE stream (
    id        INTEGER PRIMARY KEY,
    node_id   INTEGER NOT NULL REFERENCES node (id),
    stream_id BLOB NOT NULL,
    UNIQUE (node_id, stream_id)
) STRICT;

CREATE TABLE batch (
    id          INTEGER PRIMARY KEY,
    stream_id   INTEGER NOT NULL REFERENCES stream (id),
    sequence    INTEGER NOT NULL,
    site_id     INTEGER NOT NULL REFERENCES site (id),
    received_ms INTEGER NOT NULL,
    sha256      BLOB NOT NULL,
    bytes       BLOB NOT NULL,
    UNIQUE (stream_id, sequence)
) STRICT;

-- Rollups: sums over the batches. STRICT refuses the REAL that an overflowing sum would turn into.

CREATE TABLE zone_minute (
    node_id         INTEGER NOT NULL REFERENCES node (id),
    minute          INTEGER NOT NULL,
    zone_id         INTEGER NOT NULL REFERENCES zone (id),
    site_id         INTEGER NOT NULL REFERENCES site (id),
    measured_uj     INTEGER NOT NULL,
    idle_uj         INTEGER NOT NULL,
    system_uj       INTEGER NOT NULL,
    system_usage_ns INTEGER NOT NULL,
    covered_ns      INTEGER NOT NULL,
    idle_seeded     INTEGER NOT NULL,
    PRIMARY KEY (node_id, minute, zone_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE share_minute (
    node_id     INTEGER NOT NULL REFERENCES node (id),
    minute      INTEGER NOT NULL,
    zone_id     INTEGER NOT NULL REFERENCES zone (id),
    workload_id INTEGER NOT NULL REFERENCES workload (id),
    active_uj   INTEGER NOT NULL,
    usage_ns    INTEGER NOT NULL,
    PRIMARY KEY (node_id, minute, zone_id, workload_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE zone_total (
    node_id     INTEGER NOT NULL REFERENCES node (id),
    zone_id     INTEGER NOT NULL REFERENCES zone (id),
    measured_uj INTEGER NOT NULL,
    idle_uj     INTEGER NOT NULL,
    system_uj   INTEGER NOT NULL,
    PRIMARY KEY (node_id, zone_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_stage (
    run_id    INTEGER NOT NULL REFERENCES run (id),
    stage     TEXT NOT NULL,
    start_ms  INTEGER NOT NULL,
    end_ms    INTEGER NOT NULL,
    active_uj INTEGER NOT NULL,
    PRIMARY KEY (run_id, stage)
) STRICT, WITHOUT ROWID;

-- Intensity: every revision of every slot; the greatest counts. The basis is part of the key: a forecast never
-- takes the place of what was measured.

CREATE TABLE slot (
    intensity_zone TEXT NOT NULL,
    from_ms        INTEGER NOT NULL,
    to_ms          INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    basis          TEXT NOT NULL,
    revision       INTEGER NOT NULL,
    g_per_kwh      REAL NOT NULL,
    source         TEXT NOT NULL,
    PRIMARY KEY (intensity_zone, from_ms, to_ms, kind, basis, revision)
) STRICT, WITHOUT ROWID;

-- Almost every question is about the latest slots of a zone, which may have years of them.
CREATE INDEX slot_by_end ON slot (intensity_zone, to_ms);
