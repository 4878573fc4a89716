"""Report on a git repository: hot spots, who knows what, what changes together, ageing notes, sizes, tests."""

# pyright: basic
# A script is written as its authors write theirs: only `main` has types.

import math
import re
from collections import Counter
from datetime import date, timedelta
from typing import Any

from sidestep import command, log, parallel, phase

# Everything is asked of one commit, so that the numbers agree also when somebody commits meanwhile, or when the run is
# resumed next week. No question's answer grows without bound: lists are asked for in pieces that are halved when they
# come back cut, and what only has to be counted is counted by git. Nothing here knows the time: ages count from the
# newest commit.

COMMITS_MAX = 4000
TOP_MAX = 50
# History is read in this many pieces at once.
PIECES = 4
# A commit that touches more files says nothing about which belong together.
TOGETHER_FILES_MAX = 20
# Pairs are counted among this many of the most often changed files.
TOGETHER_CANDIDATES_MAX = 400
# Notes are dated in this many files, and this many of them in each.
NOTE_FILES_MAX = 12
NOTES_PER_FILE_MAX = 40
NOTE_CHARS_MAX = 80
# Sizes in bytes between which the largest files are looked for.
SIZE_STEPS = (1, 1024, 32 * 1024, 1024 * 1024, 64 * 1024 * 1024)
SIZED_FILES_MAX = 2000
# Ends the name of a file that is gone and whose name another file has now; no real name can hold it.
GONE = "\x00"
# Names asked about in one command.
NAMES_MAX = 100

# Commit, author's time and name.
HEADER = "--format=%x01%H%x01%at%x01%aN"
PLAIN_DIFF = ("--ignore-submodules=all", "--no-ext-diff", "--no-textconv")
NOTE = "(^|[^A-Za-z0-9_])(TODO|FIXME)([^A-Za-z0-9_].{0,120}|$)"
CODE_ENDINGS = (
    "asm bash bats c cc cjs clj cljs cpp cs css cu cxx dart el elm erl ex exs f90 fish fs go groovy h hh hpp hrl hs "
    "hxx java jl js jsx kt kts less lisp lua m mjs ml mli mm nim php pl pm ps1 py pyi pyx r rb rkt rs s sass scala "
    "scm scss sh sol sql svelte swift tcl tf ts tsx v vb vhd vim vue wat zig zsh"
)
TEST_FOLDERS = ("test", "tests", "testing", "__tests__", "spec", "specs")
TEST_NAMES = ("test_*", "tests_*", "*_test.*", "*_tests.*", "*.test.*", "*.spec.*", "*_spec.*", "conftest.py")
# With a capital only: "latest.py" is no test.
TEST_NAMES_CAPITAL = ("*Test.*", "*Tests.*", "*Spec.*")


async def main(commits: int = 500, top: int = 10):
    """
    Args:
        commits: How many commits of history to read, newest first (1 to 4000).
        top: How many rows each table has at most (1 to 50).
    """
    if not 1 <= commits <= COMMITS_MAX:
        raise ValueError(f"commits must be from 1 to {COMMITS_MAX}, not {commits}")
    if not 1 <= top <= TOP_MAX:
        raise ValueError(f"top must be from 1 to {TOP_MAX}, not {top}")
    phase("look at the repository")
    place = await look_at_repository()
    if place["commit"] is None:
        log("no commits yet")
        report = f"# {title(place)}\n\nThis repository has no commits yet, so there is nothing to report.\n"
        return {"report": report, "data": {"repository": place}}

    phase("read the history")
    history = await read_history(place, commits)
    log(f"{history['read']} of {history['total']} commits read")
    churn = count_churn(history["changes"])

    phase("inspect the files")
    inspected: dict[str, Any] = await parallel(
        {
            "code": measure_code(place),
            "largest": find_largest(place, top),
            "notes": count_notes(place),
        }
    )
    log(f"{inspected['code']['files']} files, {inspected['notes']['total']} notes")

    phase("date the oldest notes")
    notes = await date_notes(place, history, churn, inspected["notes"], top)

    phase("write the report")
    ranked = await parallel(
        {
            "hot_spots": still_there(place, "hot spots", hot_spots(churn), top),
            "knowledge": still_there(place, "folders", knowledge(history["changes"]), top),
            "together": still_there(place, "pairs", pairs(history["changes"], churn), top),
        }
    )
    data = {
        "repository": place,
        "history": {name: value for name, value in history.items() if name not in ("changes", "newest_at")},
        "code": inspected["code"],
        "largest": inspected["largest"],
        "notes": notes,
        **ranked,
    }
    return {"report": write_report(data), "data": data}


# ---------------------------------------------------------------- questions to git


async def git(arguments, *, id, stdin=None, check=True, allow_truncated=False):
    """One git command as a step. Settings of the user's that would change the answers are set aside."""
    return await command(
        ["git", "--no-pager", "-c", "core.fsmonitor=false", *arguments],
        id=id,
        env={"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
        stdin=stdin,
        check=check,
        allow_truncated=allow_truncated,
    )


def is_cut(output, start=""):
    """True when the output is only the end of what git said. `start` is what the whole of it would begin with."""
    return output["stdout_bytes"] > len(output["stdout"].encode()) or not output["stdout"].startswith(start)


async def look_at_repository():
    where = await git(
        ["rev-parse", "--is-shallow-repository", "--show-toplevel", "--show-prefix"],
        id="find the repository",
        check=False,
    )
    if where["exit_code"] != 0 and "not a git repository" in where["stderr"]:
        raise RuntimeError("this folder is not in a git repository: open one that is, or make it one with git init")
    if where["exit_code"] != 0:
        said = where["stderr"].strip()
        hint = "it is a bare repository or a .git folder: open a working tree" if "work tree" in said else said
        raise RuntimeError(f"git cannot read this folder: {hint}")
    shallow, rest = where["stdout"].split("\n", 1)
    toplevel, prefix = rest.removesuffix("\n").rsplit("\n", 1)
    place = {
        "name": toplevel.rsplit("/", 1)[-1],
        "folder": prefix.removesuffix("/"),
        "shallow": shallow == "true",
    }
    head = await git(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], id="find the newest commit", check=False)
    if head["exit_code"] != 0:
        return {**place, "commit": None}
    commit = head["stdout"].strip()
    answers = await parallel(
        {
            "tree": git(["rev-parse", "--verify", "--quiet", f"{commit}:./"], id="find its files", check=False),
            "empty": git(["hash-object", "-t", "tree", "--stdin"], stdin="", id="name the empty tree"),
        }
    )
    if answers["tree"]["exit_code"] != 0:
        raise RuntimeError(f"nothing in the folder {prefix!r} is committed yet")
    empty = answers["empty"]["stdout"].strip()
    return {**place, "commit": commit, "tree": answers["tree"]["stdout"].strip(), "empty_tree": empty}


async def read_history(place, commits):
    """
    The last commits: how many of how many, from when to when, by how many, and their changes, newest first.

    A change is {"commit", "author", "at", "files"}; files is a list of (path, old path or None, lines added, lines
    deleted), or None when it is not known what the commit changed: "edges" of a shallow clone, "too_large" ones.
    """
    scope = ["--", "."] if place["folder"] else []
    questions = {
        "total": git(["rev-list", "--count", place["commit"], *scope], id="count the commits"),
        "list": git(["rev-list", f"--max-count={commits}", place["commit"], *scope], id="list the commits"),
    }
    if place["shallow"]:
        # Where the clone was cut, the oldest commits look as if they had made every file.
        questions["edges"] = git(["rev-list", "--max-parents=0", place["commit"]], id="find where the clone was cut")
    answers = await parallel(questions)
    listed = answers["list"]["stdout"].split()
    edges = set(answers["edges"]["stdout"].split()) if place["shallow"] else set()
    size = max(1, math.ceil(len(listed) / PIECES))
    pieces = await parallel([read_changes(place, listed, at, at + size) for at in range(0, len(listed), size)])
    changes = [change for piece in pieces for change in piece]
    for change in changes:
        if change["commit"] in edges:
            change["files"] = None
    dates = sorted(change["at"] for change in changes)
    return {
        "total": int(answers["total"]["stdout"]),
        "read": len(listed),
        "first": day(dates[0]) if dates else None,
        "last": day(dates[-1]) if dates else None,
        "newest_at": changes[0]["at"] if changes else 0,
        "people": len({change["author"] for change in changes}),
        "edges": sorted(edges),
        "too_large": [c["commit"] for c in changes if c["files"] is None and c["commit"] not in edges],
        "changes": changes,
    }


async def read_changes(place, listed, begin, end):
    """The changes of listed[begin:end]; asked for in halves when git says more than is kept of it."""
    wanted = listed[begin:end]
    output = await git(
        ["diff-tree", "--stdin", "-r", "-z", "--root", "--always", "-M", "-l1000", "--numstat", *PLAIN_DIFF, HEADER]
        + (["--relative", "--", "."] if place["folder"] else []),
        id=f"read commits {begin + 1} to {begin + len(wanted)}",
        stdin="".join(f"{commit}\n" for commit in wanted),
        allow_truncated=True,
    )
    if not is_cut(output, f"\x01{wanted[0]}"):
        return parse_changes(output["stdout"])
    if len(wanted) > 1:
        middle = begin + len(wanted) // 2
        halves = await parallel(
            [read_changes(place, listed, begin, middle), read_changes(place, listed, middle, begin + len(wanted))]
        )
        return halves[0] + halves[1]
    header = await git(
        ["-c", "log.showSignature=false", "show", "--no-patch", HEADER, wanted[0]],
        id=f"read the author of commit {begin + 1}",
    )
    return [{**parse_changes(header["stdout"].removesuffix("\n"))[0], "files": None}]


def parse_changes(text):
    """`diff-tree -z --numstat`: headers begin with a 1 byte, first files with a line break; a rename has 3 tokens."""
    changes, change = [], {}
    tokens = text.split("\x00")
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token.startswith("\x01"):
            _, commit, when, author = token.split("\x01", 3)
            change = {"commit": commit, "author": author, "at": int(when), "files": []}
            changes.append(change)
        elif token:
            added, deleted, path = token.removeprefix("\n").split("\t", 2)
            old = None
            if path == "":
                old, path = tokens[at], tokens[at + 1]
                at += 2
            # A binary file has "-" for both numbers.
            lines = (0, 0) if added == "-" else (int(added), int(deleted))
            change["files"].append((path, old, *lines))
    return changes


async def measure_code(place):
    """Files and lines: code, tests, and everything else."""
    code = [f":(glob,icase)**/*.{ending}" for ending in CODE_ENDINGS.split()]
    tests = [f":(exclude,glob,icase)**/{folder}/**" for folder in TEST_FOLDERS]
    tests += [f":(exclude,glob,icase)**/{name}" for name in TEST_NAMES]
    tests += [f":(exclude,glob)**/{name}" for name in TEST_NAMES_CAPITAL]
    rest = [pattern.replace(":(", ":(exclude,", 1) for pattern in code]
    sums = await parallel(
        {
            "code": sum_up(place, "measure code and tests", code),
            "without tests": sum_up(place, "measure code without tests", code + tests),
            "rest": sum_up(place, "measure the other files", [".", *rest]),
        }
    )
    production, everything = sums["without tests"], sums["code"]
    test_lines = everything["lines"] - production["lines"]
    return {
        "files": everything["files"] + sums["rest"]["files"],
        "code_files": production["files"],
        "code_lines": production["lines"],
        "test_files": everything["files"] - production["files"],
        "test_lines": test_lines,
        "tests_to_code": round(test_lines / production["lines"], 3) if production["lines"] else None,
    }


async def sum_up(place, id, patterns):
    """What stands in the commit is what was added since the empty tree: one line of answer, however many files."""
    between = [place["empty_tree"], place["commit"]]
    output = await git(
        ["diff-tree", "-r", "--shortstat", "--no-renames", *PLAIN_DIFF, *between, "--", *patterns],
        id=id,
    )
    files = re.search(r"(\d+) files? changed", output["stdout"])
    lines = re.search(r"(\d+) insertions?", output["stdout"])
    return {"files": int(files.group(1)) if files else 0, "lines": int(lines.group(1)) if lines else 0}


async def find_largest(place, top):
    """The largest files, never listing them all: git says which blobs are at least so large, for ever closer sizes."""
    answers = await parallel([blobs_of(place, size) for size in SIZE_STEPS])
    steps = [at for at in range(len(SIZE_STEPS)) if answers[at]["count"] >= top]
    at = steps[-1] if steps else 0
    low, found = SIZE_STEPS[at], answers[at]
    high = SIZE_STEPS[at + 1] if at + 1 < len(SIZE_STEPS) else None
    above = answers[at + 1]["names"] if at + 1 < len(SIZE_STEPS) else []
    while found["too_many"] and (high is None or high - low > 1):
        middle = low * 4 if high is None else (low + high) // 2
        answer = await blobs_of(place, middle)
        if answer["count"] >= top:
            low, found = middle, answer
        else:
            high, above = middle, answer["names"]
    # Still too many means that all of them but those above have the very same size: any will do.
    names = found["names"]
    if found["too_many"]:
        names = list(dict.fromkeys([*above, *sorted(names)[: 2 * top]]))
    if not names:
        return []
    sizes = await git(
        ["cat-file", "--batch-check=%(objectname) %(objectsize)"],
        id="size the largest files",
        stdin="".join(f"{name}\n" for name in names),
    )
    answered = [line.split(" ") for line in sizes["stdout"].splitlines()]
    size_of = {name: size for size, name in sorted([(int(size), name) for name, size in answered])[-top:]}
    rows = await paths_of_blobs(place, size_of, list(size_of))
    return sorted(rows, key=lambda row: (-row["bytes"], row["path"]))[:top]


async def paths_of_blobs(place, size_of, names):
    output = await git(
        ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--relative"]
        + [f"--find-object={name}" for name in names]
        + [place["empty_tree"], place["commit"]],
        id="name the largest files" if len(names) == len(size_of) else f"name the files of blob {names[0]}",
        allow_truncated=True,
    )
    if len(names) > 1 and is_cut(output, ":"):
        # One has thousands of copies, which must not hide the others.
        each = await parallel([paths_of_blobs(place, size_of, [name]) for name in names])
        return [row for rows in each for row in rows]
    tokens = output["stdout"].split("\x00")
    rows = []
    for at in range(len(tokens) - 1):
        if tokens[at].startswith(":000000 ") and tokens[at].split(" ")[3] in size_of:
            rows.append({"path": tokens[at + 1], "bytes": size_of[tokens[at].split(" ")[3]]})
    return rows


async def blobs_of(place, size):
    """Blobs of at least `size` bytes: how many, and their names, or the last of them when there are too many."""
    output = await git(
        ["rev-list", "--objects", "--quiet", "--filter-print-omitted", f"--filter=blob:limit={size}", place["tree"]],
        id=f"find files of {size} bytes or more",
        allow_truncated=True,
    )
    length = len(place["tree"])
    names = [line[1:] for line in output["stdout"].splitlines() if len(line) == length + 1]
    amount = output["stdout_bytes"] // (length + 2)
    return {"count": amount, "names": names, "too_many": amount > SIZED_FILES_MAX or len(names) < amount}


async def count_notes(place):
    """Lines with TODO or FIXME: {"total", "files": {path: lines}, "complete"}. Binary files are passed over."""
    output = await git(
        ["grep", "-c", "-z", "-I", "-E", "--no-color", NOTE, place["commit"], "--", "."],
        id="count the notes",
        check=False,
        allow_truncated=True,
    )
    # Exit code 1 is "none found".
    if output["exit_code"] > 1:
        raise RuntimeError(f"git grep failed: {output['stderr'].strip()}")
    start = f"{place['commit']}:"
    cut = output["exit_code"] == 0 and is_cut(output, start)
    text = output["stdout"]
    if cut:
        # The first record is cut in two.
        text = text[text.find("\n" + start) + 1 :]
    files = {}
    while text:
        path, _, text = text.partition("\x00")
        count, _, text = text.partition("\n")
        files[path.removeprefix(start)] = int(count)
    return {"total": sum(files.values()), "files": files, "complete": not cut}


async def date_notes(place, history, churn, counted, top):
    """The oldest notes, from the files that were left alone longest: their notes cannot be younger."""
    files = counted["files"]
    # A file that no commit read has touched is older than any that one has.
    untouched = sorted(files, key=lambda path: (churn[path]["at"] if path in churn else 0, path))
    readable = [path for path in untouched if "\ufffd" not in path][:NOTE_FILES_MAX]
    notes = []
    if readable:
        lines = await note_lines(place, readable)
        dated = await parallel([blame(place, path, lines[path]) for path in readable if lines.get(path)])
        notes = [note for of_file in dated for note in of_file]
    edges = set(history["edges"])
    notes.sort(key=lambda note: (note["at"], note["path"], note["line"]))
    for note in notes:
        note["age_days"] = max(0, (history["newest_at"] - note["at"]) // 86400)
        # What a shallow clone's first commit wrote may be older than it.
        note["or_older"] = note["commit"] in edges
        note["date"] = day(note.pop("at"))
    return {
        "total": counted["total"],
        "files": len(files),
        "complete": counted["complete"],
        "dated": len(notes),
        "oldest": notes[:top],
    }


async def note_lines(place, paths):
    """{path: [(line, text), ...]} for some files; a line with two notes is one."""
    options = ["-n", "-o", "-z", "-I", "-E", "--no-color", "--no-column"]
    output = await git(
        ["--literal-pathspecs", "grep", *options, NOTE, place["commit"], "--", *paths],
        id="read the notes",
        check=False,
        allow_truncated=True,
    )
    start = f"{place['commit']}:"
    text = output["stdout"]
    if is_cut(output, start):
        text = text[text.find("\n" + start) + 1 :]
    lines = {}
    while text:
        path, _, text = text.partition("\x00")
        record, _, text = text.partition("\n")
        number, words = re.split("[:\x00]", record, maxsplit=1)
        found = lines.setdefault(path.removeprefix(start), [])
        if not found or found[-1][0] != int(number):
            # The expression took one character before the word, and may have cut one in two at the end.
            word = re.search("TODO|FIXME", words)
            found.append((int(number), words[word.start() if word else 0 :].rstrip("\ufffd").strip()))
    return lines


async def blame(place, path, lines):
    """Who wrote these lines and when. `--incremental` tells it without the lines, which may be long."""
    wanted = lines[:NOTES_PER_FILE_MAX]
    output = await git(
        ["blame", "--incremental", "--root"]
        + [f"-L{number},{number}" for number, _ in wanted]
        + [place["commit"], "--", path],
        id=f"date the notes of {printable(path)[-200:]}",
    )
    commits, written = {}, {}
    for line in output["stdout"].split("\n"):
        word, _, rest = line.partition(" ")
        if len(word) == len(place["commit"]) and re.fullmatch("[0-9a-f]+ [0-9]+ [0-9]+ [0-9]+", line):
            # One commit's lines: where they stood then, where they stand now, how many.
            commit, _, first, count = line.split(" ")
            facts = commits.setdefault(commit, {"commit": commit})
            for number in range(int(first), int(first) + int(count)):
                written[number] = commit
        elif word in ("author", "author-time"):
            facts[word] = rest
    return [
        {
            "path": path,
            "line": number,
            "text": words[:NOTE_CHARS_MAX],
            "author": commits[written[number]]["author"],
            "at": int(commits[written[number]]["author-time"]),
            "commit": written[number],
        }
        for number, words in wanted
        if number in written
    ]


async def still_there(place, what, ranked, top):
    """The first `top` of the ranked rows whose every path is still in the commit."""
    kept = []
    for begin in range(0, len(ranked), NAMES_MAX // 2):
        if len(kept) >= top:
            break
        rows = ranked[begin : begin + NAMES_MAX // 2]
        # A name that is not UTF-8 cannot be asked for; it is taken to be there.
        names = sorted({path for row in rows for path in paths_of(row) if path != "." and "\ufffd" not in path})
        output = await git(
            ["--literal-pathspecs", "ls-tree", "-z", "-t", "--name-only", place["commit"], "--", *names],
            id=f"look up {what} from {begin + 1}",
        )
        gone = set(names) - set(output["stdout"].split("\x00"))
        kept += [row for row in rows if not gone.intersection(paths_of(row))]
    return kept[:top]


def paths_of(row):
    return row["paths"] if "paths" in row else [row["path"]]


# ---------------------------------------------------------------- numbers


def count_churn(changes):
    """
    {path: {"commits", "added", "deleted", "authors", "at"}} under today's names; "at" is the newest change.

    Walks from the newest commit back, so a rename tells what the file was called before it.
    """
    churn, names = {}, {}
    for change in changes:
        files = change["files"] or []
        moves = {path: old for path, old, _, _ in files if old is not None}
        for at, (path, old, added, deleted) in enumerate(files):
            now = names.get(path, path)
            files[at] = (now, old, added, deleted)
            file = churn.setdefault(now, {"commits": 0, "added": 0, "deleted": 0, "authors": set(), "at": change["at"]})
            file["commits"] += 1
            file["added"] += added
            file["deleted"] += deleted
            file["authors"].add(change["author"])
        # After the whole commit: two files may have changed places in it. What had the new name before was another
        # file, which is gone.
        today = {old: names.get(path, path) for path, old in moves.items()}
        names.update({path: path + GONE for path in moves})
        names.update(today)
    return churn


def hot_spots(churn):
    rows = [
        {
            "path": path,
            "commits": file["commits"],
            "added": file["added"],
            "deleted": file["deleted"],
            "authors": len(file["authors"]),
        }
        for path, file in churn.items()
        if not path.endswith(GONE)
    ]
    return sorted(rows, key=lambda row: (-row["commits"], -row["added"] - row["deleted"], row["path"]))


def folder_of(path):
    """The folder of a file, two levels deep at most; "." is the top."""
    return "/".join(path.split("/")[:-1][:2]) or "."


def knowledge(changes):
    """Per folder: commits that touched it, and whose they are."""
    folders = {}
    for change in changes:
        for folder in {folder_of(path) for path, _, _, _ in change["files"] or []}:
            folders.setdefault(folder, Counter())[change["author"]] += 1
    rows = []
    for folder, authors in folders.items():
        ranked = sorted(authors.items(), key=lambda item: (-item[1], item[0]))
        people = [{"name": name, "commits": count} for name, count in ranked[:3]]
        rows.append({"path": folder, "commits": sum(authors.values()), "people": len(ranked), "authors": people})
    return sorted(rows, key=lambda row: (-row["commits"], row["path"]))


def pairs(changes, churn):
    """Pairs of files that at least two commits changed together."""
    often = [row["path"] for row in hot_spots(churn) if row["commits"] > 1][:TOGETHER_CANDIDATES_MAX]
    candidates = set(often)
    together = Counter()
    for change in changes:
        paths = sorted({path for path, _, _, _ in change["files"] or []})
        if len(paths) <= TOGETHER_FILES_MAX:
            chosen = [path for path in paths if path in candidates]
            together.update([(one, other) for at, one in enumerate(chosen) for other in chosen[at + 1 :]])
    rows = []
    for (one, other), count in together.items():
        if count > 1:
            either = churn[one]["commits"] + churn[other]["commits"] - count
            rows.append({"paths": [one, other], "together": count, "either": either, "share": round(count / either, 3)})
    return sorted(rows, key=lambda row: (-row["together"], -row["share"], row["paths"]))


def day(seconds):
    """The UTC day of seconds since the epoch: "2024-02-29"."""
    return str(date(1970, 1, 1) + timedelta(days=seconds // 86400))


# ---------------------------------------------------------------- the report


def write_report(data):
    sections = [
        f"# {title(data['repository'])}",
        summary(data),
        section(
            "Hot spots",
            "Files that the commits read changed most often; the more lines and people, the more a clean-up pays.",
            ["File", ">Commits", ">Lines added", ">Lines removed", ">People"],
            [
                [code(row["path"]), row["commits"], row["added"], row["deleted"], row["authors"]]
                for row in data["hot_spots"]
            ],
        ),
        section(
            "Who knows what",
            "Folders, two levels deep, by the commits read that touched them, and who made those.",
            ["Folder", ">Commits", ">People", "Most by"],
            [[code(row["path"]), row["commits"], row["people"], people(row)] for row in data["knowledge"]],
        ),
        section(
            "Changed together",
            f"Pairs among the {TOGETHER_CANDIDATES_MAX} most often changed files that at least two commits changed "
            f"together: how many, of the commits that changed either. Commits of more than {TOGETHER_FILES_MAX} files "
            "are left out of the first number.",
            ["File", "and file", ">Together", ">Of"],
            [
                [code(row["paths"][0]), code(row["paths"][1]), row["together"], f"{row['either']} ({row['share']:.0%})"]
                for row in data["together"]
            ],
        ),
        section(
            "Oldest notes",
            notes_line(data["notes"]),
            ["Since", ">Days", "Where", "Note", "By"],
            [
                [
                    ("before " if row["or_older"] else "") + row["date"],
                    row["age_days"],
                    code(f"{row['path']}:{row['line']}"),
                    code(row["text"]),
                    plain(row["author"]),
                ]
                for row in data["notes"]["oldest"]
            ],
            notes_line(data["notes"]) if data["notes"]["total"] else "No line says TODO or FIXME.",
        ),
        section(
            "Largest files",
            "As they stand in the newest commit.",
            ["File", ">Size"],
            [[code(row["path"]), size_text(row["bytes"])] for row in data["largest"]],
        ),
        tests_section(data["code"]),
    ]
    return "\n\n".join(sections) + "\n"


def title(place):
    return "Repository report: " + plain("/".join([part for part in (place["name"], place["folder"]) if part]))


def summary(data):
    place, history, amounts = data["repository"], data["history"], data["code"]
    lines = [
        f"- History: {history_line(history)}, by {count(history['people'], 'person', 'people')}",
        f"- Files: {amounts['files']:,} in commit `{place['commit'][:12]}`, with "
        f"{count(amounts['code_lines'], 'line')} of code and {count(amounts['test_lines'], 'line')} of tests",
    ]
    if data["hot_spots"]:
        hot = data["hot_spots"][0]
        lines.append(f"- Changed most often: {code(hot['path'])} ({count(hot['commits'], 'commit')})")
    alone = [row for row in data["knowledge"] if row["people"] == 1]
    if alone and history["people"] > 1:
        folders = count(len(data["knowledge"]), "busiest folder")
        lines.append(f"- Known to one person only: {len(alone)} of the {folders}")
    if data["notes"]["oldest"]:
        old = data["notes"]["oldest"][0]
        where = code(f"{old['path']}:{old['line']}")
        lines.append(
            f"- Notes: {count(data['notes']['total'], 'line')} with TODO or FIXME, "
            f"the oldest known {count(old['age_days'], 'day')} old at {where}"
        )
    if place["shallow"]:
        lines.append("- **Shallow clone**: what happened before it was cut is unknown and not counted")
    if history["too_large"]:
        names = ", ".join([f"`{commit[:12]}`" for commit in history["too_large"][:5]])
        what = count(len(history["too_large"]), "commit")
        lines.append(f"- **Partial**: {what} with too many files to list, whose changes are counted nowhere: {names}")
    return "\n".join(lines)


def history_line(history):
    if history["read"] == 0:
        return "no commits"
    span = f"{history['first']} to {history['last']}"
    if history["read"] == history["total"]:
        return f"**all {count(history['total'], 'commit')}**, {span}"
    return f"**last {history['read']:,} of {history['total']:,} commits**, {span}"


def notes_line(notes):
    at_least = "" if notes["complete"] else "at least "
    line = f"{at_least}{count(notes['total'], 'line')} with TODO or FIXME in {count(notes['files'], 'file')}."
    if notes["dated"] < notes["total"] or not notes["complete"]:
        line += f" {notes['dated']:,} were dated, in the files that were left alone longest."
    return line[0].upper() + line[1:]


def tests_section(amounts):
    ratio = amounts["tests_to_code"]
    said = (
        "There is no code to compare with." if ratio is None else f"**{ratio:.2f}** lines of tests for a line of code."
    )
    rows = [
        ["Code", amounts["code_files"], amounts["code_lines"]],
        ["Tests", amounts["test_files"], amounts["test_lines"]],
    ]
    said += " Told apart by the names of files and folders."
    return section("Tests and code", said, ["", ">Files", ">Lines"], rows)


def section(heading, introduction, columns, rows, nothing="Nothing to show."):
    """A heading, a sentence and a table (">" puts a column to the right); a sentence instead of an empty table."""
    if not rows:
        return f"## {heading}\n\n{nothing}"
    table = [
        [column.removeprefix(">") for column in columns],
        ["---:" if column.startswith(">") else "---" for column in columns],
    ]
    table += [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    return f"## {heading}\n\n{introduction}\n\n" + "\n".join(["| " + " | ".join(row) + " |" for row in table])


def people(row):
    return ", ".join([f"{plain(who['name'])} {who['commits'] / row['commits']:.0%}" for who in row["authors"]])


def count(number, one, many=None):
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size_text(size):
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size = size / 1024
    return f"{size:.1f} GiB"


def printable(text):
    return "".join([character if character.isprintable() else "\\x" + f"{ord(character):02x}" for character in text])


def code(text):
    """Text as Markdown code in a table's cell, whatever is in it."""
    shown = printable(text).replace("|", "\\|")
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def plain(text):
    """Text that Markdown shows as it is."""
    return "".join(["\\" + character if character in "\\|*_`<[#" else character for character in printable(text)])
