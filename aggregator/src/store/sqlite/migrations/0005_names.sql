-- Names that come after the energy, and CPU that was reserved.

-- CPU request times time, in microseconds.
ALTER TABLE share_minute ADD COLUMN request_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE share_hour ADD COLUMN request_us INTEGER NOT NULL DEFAULT 0;

-- Workloads of a node that were told under their pod's uid and may still get a name: what there was of them so far.
CREATE TABLE unnamed (
    node_id     INTEGER NOT NULL REFERENCES node (id),
    workload_id INTEGER NOT NULL REFERENCES workload (id),
    start_ms    INTEGER NOT NULL,
    end_ms      INTEGER NOT NULL,
    active_uj   INTEGER NOT NULL,
    PRIMARY KEY (node_id, workload_id)
) STRICT, WITHOUT ROWID;

-- Those that got one. Their shares stay as they are, and are read as the other workload's.
CREATE TABLE renamed (
    node_id INTEGER NOT NULL REFERENCES node (id),
    was_id  INTEGER NOT NULL REFERENCES workload (id),
    is_id   INTEGER NOT NULL REFERENCES workload (id),
    PRIMARY KEY (node_id, was_id)
) STRICT, WITHOUT ROWID;

-- What was told under a uid before this schema was not gathered, and keeps its uid: workloads up to this number get no name.
CREATE TABLE name_start (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    workload_id INTEGER NOT NULL
) STRICT;
INSERT INTO name_start (id, workload_id) VALUES (1, coalesce((SELECT max(id) FROM workload), 0));
