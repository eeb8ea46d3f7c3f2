-- Once only without every key: per stream a high-water mark and the gaps below it. Losses. Hours, which minutes
-- are folded into. What was forgotten of the raw form.

-- The greatest sequence that came or was declared lost.
ALTER TABLE stream ADD COLUMN high_water INTEGER NOT NULL DEFAULT 0;

-- Sequences below the mark that are still missing, first to last.
CREATE TABLE gap (
    stream_id INTEGER NOT NULL REFERENCES stream (id),
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (stream_id, first)
) STRICT, WITHOUT ROWID;

UPDATE stream SET high_water =
    coalesce((SELECT max(sequence) FROM batch WHERE batch.stream_id = stream.id), 0);
INSERT INTO gap (stream_id, first, last)
    SELECT stream_id, before + 1, sequence - 1
    FROM (SELECT stream_id, sequence,
                 lag(sequence, 1, 0) OVER (PARTITION BY stream_id ORDER BY sequence) AS before
          FROM batch)
    WHERE sequence > before + 1;

-- Batches that will never come.
CREATE TABLE loss (
    stream_id   INTEGER NOT NULL REFERENCES stream (id),
    sequence    INTEGER NOT NULL,
    -- As wire.v1.LossReason: 1 dropped, 2 refused, 3 damaged.
    reason      INTEGER NOT NULL,
    start_ms    INTEGER NOT NULL,
    end_ms      INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (stream_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE lost_energy (
    stream_id   INTEGER NOT NULL REFERENCES stream (id),
    sequence    INTEGER NOT NULL,
    zone_id     INTEGER NOT NULL REFERENCES zone (id),
    measured_uj INTEGER NOT NULL,
    PRIMARY KEY (stream_id, sequence, zone_id)
) STRICT, WITHOUT ROWID;

-- End of the latest time that the batch speaks of; NULL where the first schema wrote it.
ALTER TABLE batch ADD COLUMN end_ms INTEGER;
CREATE INDEX batch_by_received ON batch (received_ms);

-- From this minute on every batch of the node is still there.
ALTER TABLE node ADD COLUMN raw_from_minute INTEGER NOT NULL DEFAULT 0;

-- Minutes before this one are folded into hours; what comes late for them waits in the minutes.
CREATE TABLE fold (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    before_minute INTEGER NOT NULL
) STRICT;
INSERT INTO fold (id, before_minute) VALUES (1, 0);

CREATE TABLE zone_hour (
    node_id         INTEGER NOT NULL REFERENCES node (id),
    hour            INTEGER NOT NULL,
    zone_id         INTEGER NOT NULL REFERENCES zone (id),
    site_id         INTEGER NOT NULL REFERENCES site (id),
    measured_uj     INTEGER NOT NULL,
    idle_uj         INTEGER NOT NULL,
    system_uj       INTEGER NOT NULL,
    system_usage_ns INTEGER NOT NULL,
    covered_ns      INTEGER NOT NULL,
    idle_seeded     INTEGER NOT NULL,
    PRIMARY KEY (node_id, hour, zone_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE share_hour (
    node_id     INTEGER NOT NULL REFERENCES node (id),
    hour        INTEGER NOT NULL,
    zone_id     INTEGER NOT NULL REFERENCES zone (id),
    workload_id INTEGER NOT NULL REFERENCES workload (id),
    active_uj   INTEGER NOT NULL,
    usage_ns    INTEGER NOT NULL,
    PRIMARY KEY (node_id, hour, zone_id, workload_id)
) STRICT, WITHOUT ROWID;
