"""`sidestep schema`: the protocol's types, for whoever writes a host in another language."""

from __future__ import annotations

import click


@click.command(
    short_help="Print the protocol's types.",
    epilog="Example: sidestep schema --ts > src/sidestep.d.ts",
)
@click.option("--json", "wanted", flag_value="json", help="As JSON Schema (what is printed when nothing is said).")
@click.option("--openrpc", "wanted", flag_value="openrpc", help="As an OpenRPC document.")
@click.option("--ts", "wanted", flag_value="ts", help="As TypeScript declarations.")
def schema(wanted: str | None) -> None:
    """
    Print the types of the protocol that this version speaks.

    Hosts that were generated from an older version of the same protocol go on to work.
    """
    # The generators read the structs and their sources: only this command pays for that.
    from sidestep_protocol.schema import schema_text
    from sidestep_protocol.schema_openrpc import openrpc_text
    from sidestep_protocol.schema_typescript import typescript_text

    texts = {"json": schema_text, "openrpc": openrpc_text, "ts": typescript_text}
    click.echo(texts[wanted or "json"](), nl=False)
