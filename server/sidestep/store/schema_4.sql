-- Version 4: the commit of a step touches fewer pages, and a step takes less of them.

-- One row holds the events that one transaction appended to a run: JSON of one, or of a list of them; `sequence` is the
-- last one's. In a list a step's key is "" where an event before it has said it of the same step id.
-- Positions only grow: the row with the greatest stays when its run is deleted, as one of run 0 without events, so that
-- watchers miss nothing. (AUTOINCREMENT would write one more page with every commit.)
CREATE TABLE events_of_runs (
    position INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (run, sequence)
);

INSERT INTO events_of_runs (position, run, sequence, at_ms, body)
SELECT position, run, sequence, at_ms, body FROM events ORDER BY position;
DROP TABLE events;
ALTER TABLE events_of_runs RENAME TO events;

-- `place` is run * 2^32 + the sequence of the event that made the row: the steps of a run lie together, in the order of
-- their first starts. No index finds a step by its key: its writer knows the keys of the runs it writes to.
CREATE TABLE steps_of_runs (
    place INTEGER PRIMARY KEY,
    -- 16 bytes; as TEXT if it is no 32 hex characters.
    key NOT NULL,
    step_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    claim_epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    -- JSON of the fields most steps do not have, or NULL.
    details TEXT,
    output_file TEXT,
    output_json
);

INSERT INTO steps_of_runs (
    place, key, step_id, kind, status, attempt, started_at_ms, ended_at_ms, claim_epoch, sequence, details,
    output_file, output_json
)
SELECT
    run * 4294967296 + first_sequence, key, step_id, kind, status, attempt, started_at_ms, ended_at_ms, claim_epoch,
    sequence, details, output_file, output_json
FROM steps
-- What has no place is damaged, and read by nobody.
WHERE typeof(run) = 'integer' AND typeof(first_sequence) = 'integer' AND first_sequence BETWEEN 0 AND 4294967295
ORDER BY run, first_sequence;
DROP TABLE steps;
ALTER TABLE steps_of_runs RENAME TO steps;
CREATE INDEX steps_by_output_file ON steps (output_file) WHERE output_file IS NOT NULL;

-- Version 3 can read neither.
UPDATE meta SET value = '4' WHERE name = 'oldestWriter';
