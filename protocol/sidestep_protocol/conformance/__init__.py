"""
The conformance kit: does this server keep the contract?

    python -m sidestep_protocol.conformance [--only GROUP] [--json] -- COMMAND ...

It spawns the server, plays a host, and prints a line for each clause it checks. See `protocol/README.md`,
"Conformance".

Knows the contract and nothing of any server: it imports `sidestep_protocol` alone, and speaks in bytes of its own
making, so that it can also send what no client would.
"""
