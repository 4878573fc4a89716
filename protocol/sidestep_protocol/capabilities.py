"""
The handshake: what both sides say in `initialize`, and the few LSP messages around it that a server answers itself.

Owns the minimal structs for that, so that a server can answer `initialize` before any LSP library is loaded. Everything
else of LSP (`capabilities` as a whole) stays a plain JSON object.
"""

from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from sidestep_protocol import PROTOCOL_VERSION
from sidestep_protocol.payload import Id, JsonObject, Payload
from sidestep_protocol.tasks import AgentConfig


class ClientWorkflowCapability(Payload, frozen=True, kw_only=True):
    """A host's `capabilities.experimental.workflow`."""

    protocol_versions: list[int]
    # The host wants `workflow/eventsAppended`.
    events: bool = False
    # The host wants `workflow/output`.
    output: bool = False
    # The host answers `workflow/runTask`.
    run_task: bool = False
    # The host answers `workflow/interact`.
    interaction: bool = False


class ServerWorkflowCapability(Payload, frozen=True, kw_only=True):
    """A server's `capabilities.experimental.workflow`."""

    protocol_version: int
    server_version: str
    schema_hash: str
    # Same for all windows on one store; null while the store cannot be opened.
    store_id: str | None
    # Another one after each start of the server.
    server_epoch: str
    features: list[str]
    # Name to number; the names carry their units.
    limits: dict[str, int]


# Absent is not "allow": then the project's word holds, or the user's, and "allow" when nobody has said anything.
PermissionPolicy = Annotated[Literal["allow", "ask", "deny"], Meta(extra_json_schema={"default": "allow"})]


class SessionTrust(Payload, frozen=True, kw_only=True):
    """The folders (`file:` URIs) trusted in this session."""

    folders: list[str]


class InitializationOptions(Payload, frozen=True, kw_only=True):
    """`initializationOptions`, all optional."""

    trust: SessionTrust | UnsetType = UNSET
    auto_resume: bool = True
    permission_policy: PermissionPolicy | UnsetType = UNSET
    agents: dict[str, AgentConfig] = {}  # noqa: RUF012  # msgspec makes a new one each time.
    default_agent: str | UnsetType = UNSET


class PeerInfo(Payload, frozen=True, kw_only=True):
    """LSP's `clientInfo` and `serverInfo`."""

    name: str
    version: str | None = None


class WorkspaceFolder(Payload, frozen=True, kw_only=True):
    """One open folder."""

    uri: str
    name: str = ""


def _null() -> None:
    """Default of a nullable field that is sent all the same: `omit_defaults` leaves out only plain defaults."""
    return None


def _no_capabilities() -> JsonObject:
    return {}


class InitializeParams(Payload, frozen=True, kw_only=True):
    """
    LSP `InitializeParams`, as much as a server needs. Tolerant of null and of absence, as LSP's clients are.

    LSP marks `processId` and `rootUri` as always sent, so they are, null included.
    """

    process_id: int | None = field(default_factory=_null)
    root_uri: str | None = field(default_factory=_null)
    capabilities: JsonObject = field(default_factory=_no_capabilities)
    root_path: str | None = None
    client_info: PeerInfo | None = None
    workspace_folders: list[WorkspaceFolder] | None = None
    initialization_options: InitializationOptions | None = None
    trace: str | None = None
    locale: str | None = None
    work_done_token: Id | None = None

    @property
    def options(self) -> InitializationOptions:
        """The initialization options, defaults where the client sent none."""
        return self.initialization_options or InitializationOptions()

    def workflow_capability(self) -> ClientWorkflowCapability | None:
        """
        Read `capabilities.experimental.workflow`.

        Returns:
            None when the client has none: a plain LSP editor.

        Raises:
            msgspec.ValidationError: It is there and has the wrong shape; the path starts at the capability.
        """
        experimental: Any = self.capabilities.get("experimental")
        if not isinstance(experimental, dict):
            return None
        workflow: Any = cast("JsonObject", experimental).get("workflow")
        return None if workflow is None else msgspec.convert(workflow, ClientWorkflowCapability)


class InitializeResult(Payload, frozen=True, kw_only=True):
    """LSP `InitializeResult`; ours is at `capabilities.experimental.workflow`."""

    capabilities: JsonObject
    server_info: PeerInfo | None = None

    def workflow_capability(self) -> ServerWorkflowCapability | None:
        """Read `capabilities.experimental.workflow`; None when the server has none or shares no version with us."""
        experimental: Any = self.capabilities.get("experimental")
        if not isinstance(experimental, dict):
            return None
        workflow: Any = cast("JsonObject", experimental).get("workflow")
        return None if workflow is None else msgspec.convert(workflow, ServerWorkflowCapability)


class CancelParams(Payload, frozen=True, kw_only=True):
    """`$/cancelRequest`."""

    id: Id


class ProgressParams(Payload, frozen=True, kw_only=True):
    """`$/progress`; `value` is one of the three WorkDoneProgress structs, or another feature's."""

    token: Id
    value: Any


class WorkDoneProgressBegin(Payload, tag_field="kind", tag="begin", frozen=True, kw_only=True):
    """First value for a token."""

    title: str
    cancellable: bool | UnsetType = UNSET
    message: str | UnsetType = UNSET
    # 0 to 100.
    percentage: int | UnsetType = UNSET


class WorkDoneProgressReport(Payload, tag_field="kind", tag="report", frozen=True, kw_only=True):
    """Any number of them in between."""

    message: str | UnsetType = UNSET
    percentage: int | UnsetType = UNSET
    cancellable: bool | UnsetType = UNSET


class WorkDoneProgressEnd(Payload, tag_field="kind", tag="end", frozen=True, kw_only=True):
    """Last value for a token."""

    message: str | UnsetType = UNSET


class WorkDoneProgressTokenParams(Payload, frozen=True, kw_only=True):
    """`window/workDoneProgress/create` (to the client) and `window/workDoneProgress/cancel` (to the server)."""

    token: Id


def common_version(capability: ClientWorkflowCapability) -> int | None:
    """The protocol version both sides share, or None: then plain LSP works and `workflow/*` does not."""
    return PROTOCOL_VERSION if PROTOCOL_VERSION in capability.protocol_versions else None
