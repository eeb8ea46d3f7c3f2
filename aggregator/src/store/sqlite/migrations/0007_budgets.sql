-- Budgets, and which times had their intensities changed: what is remembered of those has to be counted anew.

CREATE TABLE budget (
    name    TEXT PRIMARY KEY,
    -- run, workflow, cluster, all.
    scope   TEXT NOT NULL,
    -- Id or name; empty for all.
    of      TEXT NOT NULL,
    monthly INTEGER NOT NULL,
    -- grams, joules.
    unit    TEXT NOT NULL,
    amount  REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each call that changed slots: the whole time that they touch. Only the latest are kept.
CREATE TABLE slot_change (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    from_ms INTEGER NOT NULL,
    to_ms   INTEGER NOT NULL
) STRICT;
