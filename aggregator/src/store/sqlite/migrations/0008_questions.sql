-- Questions to a ledger of years: the latest runs without all the others, and slots of a time without all that came after.

-- Start of the first of its stages and end of the last; NULL until there is one.
ALTER TABLE run ADD COLUMN start_ms INTEGER;
ALTER TABLE run ADD COLUMN end_ms INTEGER;
UPDATE run SET (start_ms, end_ms) =
    (SELECT min(start_ms), max(end_ms) FROM run_stage WHERE run_id = run.id);

CREATE TRIGGER run_times AFTER INSERT ON run_stage BEGIN
    UPDATE run SET start_ms = new.start_ms
        WHERE id = new.run_id AND (start_ms IS NULL OR start_ms > new.start_ms);
    UPDATE run SET end_ms = new.end_ms
        WHERE id = new.run_id AND (end_ms IS NULL OR end_ms < new.end_ms);
END;
CREATE TRIGGER run_start AFTER UPDATE OF start_ms ON run_stage WHEN new.start_ms < old.start_ms BEGIN
    UPDATE run SET start_ms = new.start_ms WHERE id = new.run_id AND start_ms > new.start_ms;
END;
CREATE TRIGGER run_end AFTER UPDATE OF end_ms ON run_stage WHEN new.end_ms > old.end_ms BEGIN
    UPDATE run SET end_ms = new.end_ms WHERE id = new.run_id AND end_ms < new.end_ms;
END;

-- Workflows' stages that belong to no run are in no list of runs.
CREATE INDEX run_by_start ON run (start_ms) WHERE run <> '';
CREATE INDEX run_by_id ON run (run);

-- Nearly all slots are an hour or less: the few that are longer than a day are found by their end, the others start
-- within a day before the time that is asked for.
DROP INDEX slot_by_end;
CREATE INDEX slot_long ON slot (intensity_zone, to_ms) WHERE to_ms - from_ms > 86400000;
