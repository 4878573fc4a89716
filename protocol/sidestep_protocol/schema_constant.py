"""Generated: the schema's hash. Rewritten by `UPDATE_GOLDEN=1 make test` when the contract changes; never by hand."""

SCHEMA_HASH = "7cd28c66e0e28ed87861b9fbf401417138267f2a17de1a79ea2cfeda83784e62"
