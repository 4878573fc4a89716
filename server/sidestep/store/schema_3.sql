-- Version 3: questions.

-- `record` is the whole question as JSON; the columns before it repeat what is searched.
CREATE TABLE questions (
    interaction_id TEXT PRIMARY KEY,
    run INTEGER NOT NULL,
    root_run_id TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX questions_by_run ON questions (run);
CREATE INDEX questions_open ON questions (root_run_id) WHERE is_open;

-- Version 2 cannot read the events of questions, and would not withdraw them with their runs.
UPDATE meta SET value = '3' WHERE name = 'oldestWriter';
