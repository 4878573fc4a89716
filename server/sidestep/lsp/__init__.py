"""What a client says, understood: workflow and language methods, the pygls bridge. Knows JSON-RPC and the service."""
