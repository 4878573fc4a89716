"""Pure data and rules of a run: no I/O, no clock of its own, no JSON-RPC."""
