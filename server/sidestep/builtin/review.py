"""Review a change in lanes; a second agent tries to refute each finding, and one report tells what holds, and where."""

# pyright: basic
# A script is written as its authors write theirs: only `main` has types.

import re
from typing import Literal

from sidestep import agent, command, failure, log, parallel, phase

# A finding is believed when an agent that was told to refute it could not. What could not be judged is told as such:
# nothing that was found is dropped in silence.

LANES = {
    "correctness": "wrong behaviour: logic, edge cases, errors that are swallowed, races, what callers rely on",
    "security": "what an attacker could use: input that is trusted, injection, secrets, permissions, paths, resources",
    "tests": "behaviour that no test would miss if it broke, and tests that cannot fail, are flaky or test a copy",
    "simplicity": "what could go or be said shorter: dead code, copies, needless options and layers, misleading names",
}
SEVERITIES = ("critical", "high", "medium", "low")

FINDINGS_PER_LANE_MAX = 15
VERIFIED_MAX = 60
DIFF_CHARS_MAX = 120_000
NEW_FILES_MAX = 200
# Two findings at most so many lines apart, of which the titles share so many of their words, are one.
SAME_LINES_MAX = 3
SAME_WORDS = 0.5

FINDINGS = {
    "type": "object",
    "required": ["findings"],
    "additionalProperties": False,
    "properties": {
        "findings": {
            "type": "array",
            "maxItems": FINDINGS_PER_LANE_MAX,
            "items": {
                "type": "object",
                "required": ["file", "line", "severity", "title", "detail"],
                "properties": {
                    "file": {"type": "string", "minLength": 1, "description": "path from the workspace folder"},
                    "line": {"type": "integer", "minimum": 1, "description": "in the file as it is now"},
                    "severity": {"enum": list(SEVERITIES)},
                    "title": {"type": "string", "minLength": 1, "maxLength": 200},
                    "detail": {"type": "string", "description": "what goes wrong when, and what to do"},
                },
            },
        }
    },
}

VERDICT = {
    "type": "object",
    "required": ["holds", "reason"],
    "additionalProperties": False,
    "properties": {
        "holds": {"enum": ["yes", "no", "unclear"]},
        "reason": {"type": "string", "minLength": 1},
        "severity": {"enum": list(SEVERITIES), "description": "if it holds and was rated wrongly"},
    },
}


NOTHING = {"findings": []}


async def main(
    base: str | None = None,
    lanes: list[Literal["correctness", "security", "tests", "simplicity"]] = [  # noqa: B006
        "correctness",
        "security",
        "tests",
        "simplicity",
    ],
    verify_max: int = 20,
    at_once: int = 4,
    reviewer: str | None = None,
    verifier: str | None = None,
    agent_minutes: float = 20,
):
    """
    Args:
        base: Commit or branch the change is compared with; else what is uncommitted, the branch, or the last commit.
        lanes: What is looked for, each by an agent of its own.
        verify_max: How many findings are verified, the most severe first (0 to 60).
        at_once: How many agents work at once.
        reviewer: Agent that looks for findings; the default agent otherwise.
        verifier: Agent that tries to refute them; the default agent otherwise.
        agent_minutes: Minutes an agent may take for one step.
    """
    if not lanes:
        raise ValueError(f"lanes is empty: name some of {', '.join(LANES)}")
    if not 0 <= verify_max <= VERIFIED_MAX:
        raise ValueError(f"verify_max must be from 0 to {VERIFIED_MAX}, not {verify_max}")
    phase("look at the change")
    change = await look_at_change(base)
    if not change["files"]:
        return {"report": f"# Review\n\nNothing was changed: {change['what']}.\n", "data": {"findings": []}}
    log(f"{len(change['files'])} files: {change['what']}")

    phase("find", lanes=lanes)
    asked = {"agent": reviewer, "timeout_s": agent_minutes * 60}
    names = [lane for lane in LANES if lane in lanes]
    answers = await parallel(
        {lane: twice(find_prompt(lane, change), f"find:{lane}", schema=FINDINGS, **asked) for lane in names},
        limit=at_once,
    )
    errors = {lane: answer[1] for lane, answer in answers.items() if answer[1] is not None}
    if len(errors) == len(names):
        # Nothing was reviewed. The run fails, and when it is continued the lanes are asked again.
        raise errors[names[0]]
    for lane, error in errors.items():
        log(f"lane {lane} failed", **failure(error))
    found = []
    for lane, answer in answers.items():
        found += [{**each, "lane": lane} for each in (answer[0] or NOTHING)["findings"]]
    findings = merged(found)
    log(f"{len(found)} findings, {len(findings)} after joining the same ones")

    phase("verify", findings=min(len(findings), verify_max))
    asked = {"agent": verifier, "timeout_s": agent_minutes * 60}
    verdicts = await parallel(
        [
            twice(verify_prompt(finding, change), verify_id(at, finding), schema=VERDICT, **asked)
            for at, finding in enumerate(findings[:verify_max], 1)
        ],
        limit=at_once,
    )
    verdicts += [(None, None)] * (len(findings) - len(verdicts))
    judged = [with_verdict(finding, *verdicts[at]) for at, finding in enumerate(findings)]
    return result(change, names, errors, sorted(judged, key=rank))


async def twice(prompt, id, **options):
    """
    (What the agent gave, None), or (None, its last error): a second try saves what a passing failure would cost.

    A call that cannot be carried out at all, such as for an agent that is not configured, is not tried again.
    """
    error = None
    for attempt in ("", ":again"):
        try:
            return await agent(prompt, id=id + attempt, **options), None
        except (RuntimeError, TimeoutError) as caught:
            if failure(caught)["code"] == "script":
                raise
            error = caught
    return None, error


def verify_id(at, finding):
    return f"verify:{at}:{finding['file'][-300:]}:{finding['line']}"


# ---------------------------------------------------------------- the change


async def git(arguments, *, id, check=True):
    return await command(
        ["git", "--no-pager", "-c", "core.quotePath=false", *arguments],
        id=id,
        env={"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        check=check,
        allow_truncated=True,
    )


async def look_at_change(base):
    """{"what", "commit", "files", "new", "diff"}: what is reviewed, against which commit."""
    inside = await git(["rev-parse", "--is-inside-work-tree"], id="find the repository", check=False)
    if inside["exit_code"] != 0:
        raise RuntimeError("this folder is in no git repository, so there is no change to be reviewed")
    others = (await git(["ls-files", "--others", "--exclude-standard"], id="list new files"))["stdout"].splitlines()
    commit, what, others = await compared(base, others)
    options = ["diff", "--no-color", "--no-ext-diff", "--relative", commit]
    names, diff = await parallel(
        [git([*options, "--name-only"], id="list changes"), git([*options, "--unified=5"], id="read changes")]
    )
    files = sorted({*names["stdout"].splitlines(), *others})
    return {"what": what, "commit": commit, "files": files, "new": others, "diff": diff["stdout"]}


async def compared(base, others):
    """(Commit to compare with, what that means, new files that belong to it)."""
    if base is not None:
        found = await git(["rev-parse", "--verify", "--quiet", base + "^{commit}"], id="find the base", check=False)
        if found["exit_code"] != 0:
            raise RuntimeError(f"there is no commit {base!r} here")
        return found["stdout"].strip(), f"everything since {base}", others
    head = await git(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], id="find the last commit", check=False)
    if head["exit_code"] != 0:
        raise RuntimeError("this repository has no commits yet, so there is nothing to compare with")
    head = head["stdout"].strip()
    dirty = await git(["diff", "--name-only", "--relative", head], id="look for uncommitted changes")
    if dirty["stdout"] or others:
        return head, "what is not committed yet", others
    for branch in ("origin/HEAD", "origin/main", "origin/master", "main", "master"):
        fork = await git(["merge-base", head, branch], id=f"compare with {branch}", check=False)
        if fork["exit_code"] == 0 and fork["stdout"].strip() != head:
            return fork["stdout"].strip(), f"this branch since it left {branch}", others
    before = await git(["rev-parse", "--verify", "--quiet", "HEAD~1"], id="find the commit before", check=False)
    if before["exit_code"] != 0:
        raise RuntimeError("nothing is uncommitted and there is one commit only; say base=COMMIT")
    return before["stdout"].strip(), "the last commit", others


# ---------------------------------------------------------------- what agents are told


def find_prompt(lane, change):
    return (
        f"Review a change in the workspace folder. Edit nothing. Look only for this: {LANES[lane]}.\n\n"
        "Tell what the change brings in or leaves broken, not what was there before. Look at the files themselves "
        "before you claim something, and say what goes wrong when. An empty list is a good answer.\n"
        f"At most {FINDINGS_PER_LANE_MAX} findings, the worst first. critical: data is lost or an attacker gets in; "
        "high: wrong in ordinary use; medium: wrong in rare cases, or costly to live with; low: the rest.\n\n"
        + change_text(change)
    )


def verify_prompt(finding, change):
    also = "".join([f"\nIt was also put so: {each}" for each in finding["also"]])
    return (
        "Somebody claims a fault in a change in the workspace folder. Try to refute it: read the code at that place, "
        "what calls it and what it calls, and look for a reason why the claim is wrong, cannot happen, was there "
        "before, or is intended. Run what you may. Edit nothing.\n\n"
        f"Where: {finding['file']}:{finding['line']}\nHow bad: {finding['severity']}\n"
        f"Claim: {finding['title']}\n{finding['detail']}{also}\n\n"
        'holds is "no" when you refuted it, "yes" when you tried and it stands, else "unclear". Give the reason that '
        f"decided, in a sentence or two.\n\nThe change is against commit {change['commit']}."
    )


def change_text(change):
    parts = [f"The change is {change['what']}, against commit {change['commit']}."]
    if change["new"]:
        parts.append(
            "New files, not in the diff:\n" + "\n".join([f"- {name}" for name in change["new"][:NEW_FILES_MAX]])
        )
    diff = change["diff"]
    if len(diff) > DIFF_CHARS_MAX:
        parts.append("The diff is too long to be shown whole; this is its end, look at the rest yourself.")
        diff = diff[-DIFF_CHARS_MAX:]
    parts.append("\n".join(["    " + line for line in diff.splitlines()]))
    return "\n\n".join(parts)


# ---------------------------------------------------------------- findings


def rank(finding):
    return (SEVERITIES.index(finding["severity"]), finding["file"], finding["line"])


def merged(found):
    """The worst of those that say the same, with the others' words; most severe first."""
    kept = []
    for finding in sorted(found, key=rank):
        same = first([each for each in kept if is_same(each, finding)])
        if same is None:
            kept.append({**finding, "lanes": [finding["lane"]], "also": []})
            continue
        same["also"].append(f"{finding['title']}: {finding['detail']}")
        if finding["lane"] not in same["lanes"]:
            same["lanes"].append(finding["lane"])
    return kept


def first(items, default=None):
    return items[0] if items else default


def is_same(one, other):
    if one["file"] != other["file"] or abs(one["line"] - other["line"]) > SAME_LINES_MAX:
        return False
    words, others = words_of(one["title"]), words_of(other["title"])
    return words == others or len(words & others) >= max(1, SAME_WORDS * min(len(words), len(others)))


def words_of(text):
    return set(re.findall(r"\w+", text.lower())) - {"a", "an", "and", "in", "is", "not", "of", "the", "to"}


def with_verdict(finding, verdict, error):
    finding = {name: finding[name] for name in ("file", "line", "severity", "title", "detail", "lanes", "also")}
    if verdict is not None:
        severity = verdict.get("severity", finding["severity"])
        return {**finding, "severity": severity, "holds": verdict["holds"], "reason": verdict["reason"]}
    why = "there were more findings than are verified" if error is None else failure(error)["message"]
    return {**finding, "holds": "unverified", "reason": why}


# ---------------------------------------------------------------- the report


def result(change, lanes, errors, findings):
    holding = [each for each in findings if each["holds"] == "yes"]
    open_ones = [each for each in findings if each["holds"] in ("unclear", "unverified")]
    refuted = [each for each in findings if each["holds"] == "no"]
    counts = [(level, sum(each["severity"] == level for each in holding)) for level in SEVERITIES]
    told = ", ".join([f"{number} {level}" for level, number in counts if number]) or "nothing that holds"
    reviewed = [lane for lane in lanes if lane not in errors]
    parts = [
        "# Review: " + told,
        f"{len(change['files'])} files were looked at for {', '.join(reviewed)}: {change['what']}, against commit "
        f"`{change['commit'][:12]}`. Of {len(findings)} findings {len(refuted)} were refuted.",
    ]
    if errors:
        missing = "\n".join([f"- {lane}: {failure(error)['message']}" for lane, error in errors.items()])
        parts.append("**Partial**: these lanes failed, twice each.\n\n" + missing)
    parts += [finding_text(each) for each in holding]
    if open_ones:
        parts.append("## Neither verified nor refuted")
        parts += [finding_text(each) for each in open_ones]
    if refuted:
        listed = [f"- `{each['file']}:{each['line']}` {each['title']}: {each['reason']}" for each in refuted]
        parts.append("## Refuted\n\n" + "\n".join(listed))
    data = {
        "base": change["commit"],
        "files": change["files"],
        "findings": findings,
        "failed_lanes": {lane: failure(error)["message"] for lane, error in errors.items()},
    }
    return {"report": "\n\n".join(parts) + "\n", "data": data}


def finding_text(finding):
    title = f"### `{finding['file']}:{finding['line']}` {finding['title']}"
    lines = [f"{finding['severity']}, {' and '.join(finding['lanes'])}", finding["detail"].strip()]
    lines += [f"Also put so: {each}" for each in finding["also"]]
    lines.append(f"Verified ({finding['holds']}): {finding['reason'].strip()}")
    return "\n\n".join([title, *[line for line in lines if line]])
