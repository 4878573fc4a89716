"""Generated: the schema's hash. Rewritten by `UPDATE_GOLDEN=1 make test` when the contract changes; never by hand."""

SCHEMA_HASH = "4eb1c908d1c922d7632ff66d00bf9244600883f8e3dcb75d597e8ce84cfad168"
