"""Generated: the schema's hash. Rewritten by `UPDATE_GOLDEN=1 make test` when the contract changes; never by hand."""

SCHEMA_HASH = "f6f84ec214f5876570977ab1f697a8bb6127165738d2f1291c421af8edb6a626"
