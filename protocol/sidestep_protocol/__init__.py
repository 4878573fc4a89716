"""
The Sidestep protocol, for people who write a host: wire structs, the method table, framing, and a small asyncio client.

This package is the only public Python API of Sidestep. It needs msgspec and nothing else, and knows nothing of the
server. Import from its modules: `methods`, `workflow`, `runs`, `events`, `notifications`, `tasks`, `capabilities`,
`errors`, `framing`, `schema`, `client`. Nothing is imported here, so that a server pays at start only for what it
uses.
"""

# The one version both sides must share; see README.md, "initialize".
PROTOCOL_VERSION = 1
