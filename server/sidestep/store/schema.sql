-- The store's schema, version 1. What later versions make of it stands in schema_N.sql.
-- JSON and texts are TEXT; a text with lone surrogates (JavaScript can send them) is kept as a BLOB of its bytes.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('storeId', lower(hex(randomblob(16))));

-- Scripts, each once. Never removed: a retry may store one just before its claim names it.
CREATE TABLE sources (
    hash TEXT PRIMARY KEY,
    text NOT NULL
);

-- One row per run. `record` is the whole row as JSON but for `inputs`; the columns before it repeat what is searched.
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Name and label, case-folded, for text searches.
    words TEXT NOT NULL,
    parent_run_id TEXT,
    root_run_id TEXT NOT NULL,
    start_key TEXT,
    created_at_ms INTEGER NOT NULL,
    status TEXT NOT NULL,
    owner_id TEXT,
    record TEXT NOT NULL
);

CREATE UNIQUE INDEX runs_by_start_key ON runs (folder, start_key) WHERE start_key IS NOT NULL;
CREATE INDEX runs_by_folder ON runs (folder, status, created_at_ms, run_id) WHERE parent_run_id IS NULL;
CREATE INDEX runs_by_status ON runs (status, created_at_ms, run_id) WHERE parent_run_id IS NULL;
CREATE INDEX runs_by_parent ON runs (parent_run_id, created_at_ms, run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_by_root ON runs (root_run_id);
CREATE INDEX runs_by_owner ON runs (owner_id) WHERE owner_id IS NOT NULL;

-- What a run was created with, never rewritten: it may hold megabytes, and a step must cost the same with them.
CREATE TABLE inputs (
    run INTEGER PRIMARY KEY,
    args_json NOT NULL,
    args_schema_json NOT NULL,
    script_ref NOT NULL
);

-- AUTOINCREMENT: a position is never used again, also after the newest run was deleted, so watchers miss nothing.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (run, sequence)
);

-- `first_sequence` is the event that made the row, so the primary key is the order of first starts.
CREATE TABLE steps (
    run INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
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
    output_json,
    PRIMARY KEY (run, first_sequence)
) WITHOUT ROWID;

CREATE UNIQUE INDEX steps_by_key ON steps (run, key);
CREATE INDEX steps_by_output_file ON steps (output_file) WHERE output_file IS NOT NULL;
