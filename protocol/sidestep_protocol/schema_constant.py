"""Generated: the schema's hash. Rewritten by `UPDATE_GOLDEN=1 make test` when the contract changes; never by hand."""

SCHEMA_HASH = "dfb1dc147ea2e40a885d154570e6611f769be60fd8a8afb56d83f95b4385f282"
