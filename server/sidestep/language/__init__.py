"""What an editor shows of a workflow script. Pure: no pygls, no JSON-RPC, no asyncio, no disk of its own."""
