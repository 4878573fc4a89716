"""Our own wire: frames, envelopes, routing and the session of one client. Knows JSON-RPC, knows no workflow."""
