-- Version 2: what no event tells is told to other processes too.

-- A run's row that changed without an event (its lease was cleared), or a run that was deleted; the newest only.
-- AUTOINCREMENT: a number is never used again, so watchers miss nothing.
CREATE TABLE notices (
    notice INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    -- The folder of a root run that is gone with its tree; NULL: the row has changed.
    deleted_from TEXT
);

-- The oldest schema version that may write here. A migration raises it when older code would do harm.
INSERT INTO meta (name, value) VALUES ('oldestWriter', '2');
