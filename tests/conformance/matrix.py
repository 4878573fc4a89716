"""Which clause each fault breaks, and what the kit has to say about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """
    Attributes:
        fault: A name of `faults.FAULTS`.
        check: The check that finds it.
        clause: What the kit names.
        expected: Part of what the kit says it expected: it failed for the fault, and for nothing else.
        is_silent: The fault is that something does not come: the kit has to wait, so it is told to be impatient.
        is_short: Part of `make test`; the others are part of `make soak`.
    """

    fault: str
    check: str
    clause: str
    expected: str
    is_silent: bool = False
    is_short: bool = False


MATRIX = (
    Row("tells-before-it-stores", "what-is-told-can-be-read-at-once", "G1", "the journal has event 2", is_short=True),
    Row("skips-a-sequence", "sequences-are-gap-free-from-1", "G1", "sequences told", is_short=True),
    Row("loses-an-event", "sequences-are-gap-free-from-1", "G1", "sequences told"),
    Row("numbers-anew-after-a-restart", "events-told-before-a-crash-are-there-after-it", "G1", "first events"),
    Row("swaps-two-events", "events-come-in-order", "G2", "sequences that grow", is_short=True),
    Row("forgets-the-request-id", "the-first-status-comes-first", "G3", "requestId", is_short=True),
    Row("forgets-the-start-key", "the-first-status-comes-first", "G3", "startKey"),
    Row("begins-the-progress-first", "the-first-status-comes-first", "G3", "the first message about the run"),
    Row("answers-before-the-last-status", "the-end-comes-in-order", "G4", "the last three", is_short=True),
    Row("ends-the-progress-after-the-answer", "the-end-comes-in-order", "G4", "the last three"),
    Row("reports-progress-after-the-end", "the-end-comes-in-order", "G4", "the last three"),
    Row("tells-the-end-twice", "the-end-is-told-once-and-nothing-follows", "G5", "how often the end", is_short=True),
    Row("tells-events-after-the-stop", "the-end-is-told-once-and-nothing-follows", "G5", "no event after the end"),
    Row("runs-on-after-an-interrupt", "after-an-interrupt-comes-only-what-may", "G5", "once more with quiescent"),
    Row("answers-an-interrupt-first", "an-interrupt-is-answered-after-its-append", "G6", "last status", is_short=True),
    Row("answers-twice", "a-start-is-answered-once", "G7", "the answers to the start", is_short=True),
    Row("drops-an-answer", "every-request-is-answered-once", "G7", "one of many requests", is_silent=True),
    Row("answers-under-another-id", "an-id-comes-back-as-it-was", "W9", "a response with id", is_silent=True),
    Row(
        *("speaks-before-initialize", "nothing-comes-before-the-initialize-result", "G8"),
        *("no message of the server's before",),
        is_short=True,
    ),
    Row(
        *("answers-a-cancel-of-an-unknown-id", "a-cancel-of-an-unknown-id-is-passed-over", "cancellation row 1"),
        *("no answer to a cancel of an unknown id",),
    ),
    Row(
        *("starts-in-spite-of-its-cancel", "a-cancel-in-the-same-write-as-its-start-is-answered-once"),
        *("cancellation row 2", "the run's id and status in the list"),
    ),
    Row(
        *("says-running-of-a-cancelled-resume", "a-cancel-in-the-same-write-as-its-resume-says-how-the-run-stands"),
        *("cancellation row 3", "runId and status of the error"),
    ),
    Row(
        *("loses-a-cancel", "a-cancel-of-a-waiting-start-interrupts-its-run", "cancellation row 4"),
        *("the cancelled start",),
        is_silent=True,
        is_short=True,
    ),
    Row(
        *("succeeds-though-interrupted", "a-cancel-of-a-waiting-start-interrupts-its-run", "cancellation row 4"),
        *("the cancelled start refused",),
    ),
    Row(
        *("denies-the-run", "a-cancel-of-a-waiting-start-interrupts-its-run", "cancellation row 4"),
        *("runId, status and resumable",),
    ),
    Row(
        *("interrupts-what-others-wait-for", "a-cancel-of-one-of-two-waiting-requests-detaches-it"),
        *("cancellation row 5", "the first start"),
    ),
    Row(
        *("interrupts-what-others-wait-for", "a-cancel-leaves-the-run-of-another-process-alone"),
        *("cancellation row 5", ""),
    ),
    Row(
        *("cancels-what-is-done", "a-cancel-after-the-end-is-durable-leaves-the-outcome", "cancellation row 6"),
        *("workflow/start succeeds",),
    ),
    Row(
        *("cancels-what-somebody-interrupted", "an-interrupt-by-somebody-else-is-an-outcome", "cancellation row 7"),
        *("the waiting start succeeds",),
    ),
    Row(
        *("calls-a-drain-a-cancel", "a-waiting-request-is-told-that-the-server-drains", "cancellation row 8"),
        *("serverDraining",),
    ),
    Row(
        *("interrupts-a-cancelled-background-start", "a-cancel-of-a-background-start-leaves-its-run-alone"),
        *("cancellation row 10", ""),
        is_silent=True,
    ),
    Row("answers-a-cancel-twice", "a-second-cancel-changes-nothing", "W15", "", is_short=True),
    Row("answers-a-cancel-twice", "a-cancel-of-an-answered-id-is-passed-over", "W15", "the answers to the start"),
    Row("remembers-a-cancel", "a-cancel-before-its-request-is-passed-over", "W15", "workflow/start succeeds"),
    Row("cancels-what-is-done", "a-cancel-that-races-the-end-agrees-with-the-journal", "W16", "", is_short=True),
    Row("drops-lagged", "a-run-does-not-wait-for-a-host-that-does-not-read", "W21", "workflow/lagged", is_short=True),
    Row("drops-statuses-under-load", "a-run-does-not-wait-for-a-host-that-does-not-read", "W21", "statuses from"),
    Row("writes-noise", "what-a-run-prints-never-reaches-stdout", "W23", ""),
    Row("leaves-out-a-field", "messages-have-the-shape-of-their-types", "Types", "params of workflow/statusChanged"),
    Row("renames-payload-keys", "payload-keys-travel-untouched", "W12", "result.data"),
    Row(
        *("says-nothing-to-bad-frames", "a-header-without-a-usable-length-is-refused-once", "W3", "id null"),
        is_silent=True,
    ),
    Row("ends-with0", "the-end-of-input-ends-with-1", "W18", "the exit code"),
    Row("serves-after-shutdown", "shutdown-is-answered-and-exit-ends-with-0", "shutdown", "afterShutdown"),
    Row("hides-the-crash", "a-run-of-a-killed-server-is-interrupted-by-crash", "Recovery", "status and reason"),
)
