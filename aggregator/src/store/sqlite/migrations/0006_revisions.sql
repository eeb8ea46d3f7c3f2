-- What a report said at any time can be said again: slots and sites' settings know when they were written.

-- 0: before this schema.
ALTER TABLE slot ADD COLUMN recorded_ms INTEGER NOT NULL DEFAULT 0;

-- Every revision of a site's settings (JSON, as the API tells them); the latest counts. A site that only batches name
-- has none.
CREATE TABLE site_setting (
    site_id     INTEGER NOT NULL REFERENCES site (id),
    recorded_ms INTEGER NOT NULL,
    settings    TEXT NOT NULL,
    PRIMARY KEY (site_id, recorded_ms)
) STRICT, WITHOUT ROWID;

INSERT INTO site_setting (site_id, recorded_ms, settings)
    SELECT id, 0, json_object('name', name, 'intensity_zone', intensity_zone, 'pue', pue) FROM site;
ALTER TABLE site DROP COLUMN intensity_zone;
ALTER TABLE site DROP COLUMN pue;

-- The latest time at which a slot or a setting was recorded: whatever the clock says, the next one comes after it.
CREATE TABLE recorded (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    ms INTEGER NOT NULL
) STRICT;
INSERT INTO recorded (id, ms) VALUES (1, 0);
