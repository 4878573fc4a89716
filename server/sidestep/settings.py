"""
Every limit of Sidestep, with its unit. Hitting one is a clear, typed error.

Names end in their unit; the most significant word stands first.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Settings:
    """Limits and product times; one object, built in `app.py` and handed down."""

    # Scripts and values.
    script_bytes_max: int = 1 * MIB
    args_bytes_max: int = 1 * MIB
    # What a step is asked for (a prompt, mostly), and what an agent answers in one turn.
    step_input_bytes_max: int = 4 * MIB
    agent_answer_bytes_max: int = 4 * MIB
    # Objects and lists in each other, of what a schema is to judge.
    validated_depth_max: int = 500
    question_chars_max: int = 16 * KIB
    # Output of a step as the script sees it; the rest of a command's output is counted, not kept.
    step_output_bytes_max: int = 1 * MIB
    # Each stream of a command keeps this much of its end.
    command_stream_bytes_max: int = 256 * KIB
    # A run's result inline; above it, a file.
    result_inline_bytes_max: int = 1 * MIB
    # A step's output inside the database; above it, a content-addressed file.
    output_inline_bytes_max: int = 256 * KIB
    log_bytes_max: int = 16 * KIB
    failure_message_chars_max: int = 4000

    # Concurrency.
    active_runs_max: int = 1000
    parallel_width_max: int = 10_000
    commands_running_max: int = 64
    agents_running_max: int = 16
    # Turns in which an agent may answer with something that does not fit its schema, over all executions of its step.
    agent_attempts_max: int = 3
    # An agent that has said nothing by then, on being started, will not.
    agent_start_s: float = 60.0
    # An agent whose time is up has this long to end its turn, so that it can be asked for a report.
    agent_turn_end_s: float = 5.0
    # Runs below a root, parent by parent.
    nested_depth_max: int = 8

    # Sandbox.
    sandbox_memory_bytes_max: int = 64 * MIB
    sandbox_turn_s_max: float = 2.0
    sandbox_recursion_max: int = 400
    sandbox_printed_bytes_max: int = 64 * KIB
    sandbox_threads: int = 32
    # Worker processes that wait for a script, 1 to 16 MiB each; all but one end when no run has wanted them so long.
    sandbox_free_workers_max: int = 32
    sandbox_free_worker_s_max: float = 10.0

    # Stopping.
    interrupt_grace_s: float = 5.0
    drain_s: float = 3.0
    # An interrupt whose work has stopped waits this long for a store that is away before it says so.
    interrupt_store_s: float = 3.0
    terminate_grace_s: float = 2.0

    # Wire.
    message_bytes_max: int = 16 * MIB
    requests_in_flight_max: int = 256
    outbound_bytes_max: int = 8 * MIB
    events_batch_ms: int = 50
    status_min_interval_ms: int = 1000
    parent_poll_s: float = 2.0

    # Store.
    lazy_write_ms: int = 20
    # Made in the write-ahead log's file when nobody has written for so long; 0 bytes make none. See `log_room.py`.
    log_room_bytes: int = 1024 * 1024
    log_room_after_ms: int = 50
    busy_timeout_ms: int = 10_000
    watch_busy_ms: int = 100
    watch_idle_ms: int = 1000
    # Files beside the database that nothing names are removed at opening when they are so old.
    sweep_age_s: int = 24 * 3600
    # Looked at in each folder.
    sweep_files_max: int = 10_000

    # Environment names withheld from commands.
    env_deny: tuple[str, ...] = ()

    # Editors. A pause in typing, after which a script is checked.
    diagnostics_debounce_s: float = 0.15
    # An answer that tells of runs waits so long for the store.
    script_runs_wait_s: float = 1.0
    # The least time between two requests to an editor to ask for its code lenses again.
    lens_refresh_s: float = 1.0
