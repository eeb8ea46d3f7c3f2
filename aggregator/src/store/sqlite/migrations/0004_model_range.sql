-- How far modelled energy may be from the truth: zone.modelled is 0 where energy is measured, else the number of a range.

CREATE TABLE model_range (
    id           INTEGER PRIMARY KEY,
    -- The true energy lies between so many per cent of what was told; 0 and 0: nobody says.
    low_percent  INTEGER NOT NULL,
    high_percent INTEGER NOT NULL,
    UNIQUE (low_percent, high_percent)
) STRICT;

INSERT INTO model_range (id, low_percent, high_percent) VALUES (1, 0, 0);
