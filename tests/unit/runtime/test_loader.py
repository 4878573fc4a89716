"""From an author's source to what the sandbox is fed: nothing moves to another line, columns are mapped back."""

from __future__ import annotations

import ast
import builtins
import sys
from pathlib import Path

import pytest

from sidestep.runtime import loader
from sidestep.runtime.loader import (
    LOADED_SCRIPTS_MAX,
    PRELUDE,
    PRELUDE_BUILTINS,
    Loaded,
    Problem,
    load,
    prelude_source,
)
from sidestep.runtime.prelude import MODULES


def fed(source: str) -> str:
    loaded = load(source)
    assert isinstance(loaded, Loaded)
    assert loaded.source.endswith("\n")
    return loaded.source.removesuffix("\n")


def problem(source: str) -> Problem:
    found = load(source)
    assert isinstance(found, Problem)
    return found


def test_an_import_becomes_assignments_where_it_stood():
    assert fed("from sidestep import log as say, agent\nx = 1") == (
        f'say={PRELUDE}["log"];agent={PRELUDE}["agent"]\nx = 1'
    )


@pytest.mark.parametrize(
    ("source", "last"),
    [
        ("from sidestep import (\n    log,  # why\n    agent\n)\nhere", "here"),
        ("from sidestep import (log,\n    agent)  # both\nhere", "here"),
        ("from sidestep import log, \\\n    agent\nhere", "here"),
        ("from sidestep import (log,\n  agent); x = 1\nhere", "here"),
        ("if True:\n    from sidestep import (log,\n      agent); x = 1\nhere", "here"),
        ("def f():\n    from sidestep import log\n    return log\nhere", "here"),
    ],
)
def test_an_import_of_any_shape_keeps_every_line_where_it_was(source: str, last: str):
    text = fed(source)
    ast.parse(text)
    assert text.split("\n")[source.count("\n")] == last
    assert "from sidestep" not in text


def test_the_id_of_a_step_is_wrapped_with_the_line_of_its_call():
    source = 'from sidestep import command as run\nrun(\n    ["a"],\n    id=\n    "x"\n    "y",\n)'
    assert fed(source).split("\n")[4:6] == ['    ("\\0line",2,"x"', '    "y"),']


@pytest.mark.parametrize(
    "source",
    [
        "command(['a'], id='x')",
        "from other import command\ncommand(['a'], id='x')",
        "from sidestep import command\ndef command(argv, id): pass\ncommand(['a'], id='x')",
        "from sidestep import command\ndef f(command):\n    command(['a'], id='x')",
        "from sidestep import command\nfor command in []:\n    command(['a'], id='x')",
        "from sidestep import parallel\nparallel(['a'], id='x')",
    ],
)
def test_only_steps_imported_from_sidestep_and_bound_by_nothing_else_are_wrapped(source: str):
    assert "\\0line" not in fed(source)


def test_gather_is_replaced_only_where_it_is_asyncio_s():
    assert fed("import asyncio\nasyncio.gather(a)") == f'import asyncio\n{PRELUDE}["gather"](a)'
    assert fed("from asyncio import gather as g\ng(a)") == f'from asyncio import gather as g\n{PRELUDE}["gather"](a)'
    for source in ("asyncio = 3\nasyncio.gather(a)", "import other as asyncio\nasyncio.gather(a)", "x.gather(a)"):
        assert fed(source) == source


def test_columns_are_mapped_back_to_the_authors():
    source = 'from sidestep import command, log\né = "é"; command(["é"], id=f"a:{é}"); log("x"); boom'
    loaded = load(source)
    assert isinstance(loaded, Loaded)
    author, line = source.split("\n")[1], loaded.source.split("\n")[1]
    for word in ("command", '["é"]', "boom", '"x"'):
        assert loaded.column(2, line.index(word) + 1) == author.index(word) + 1
    # A position inside what was inserted is where it was inserted.
    assert loaded.column(2, line.index("0line") + 1) == author.index('f"a:') + 1


def test_what_cannot_be_imported_is_told_with_its_line():
    assert problem("\nfrom sidestep import frobnicate").line == 2
    assert "frobnicate" in problem("\nfrom sidestep import frobnicate").message
    assert "name what the script uses" in problem("from sidestep import *").message
    assert problem("def (:\nfrom sidestep import frobnicate").line == 2


def test_source_that_ast_refuses_has_its_imports_found_all_the_same():
    assert fed("from sidestep import (  # c\n  log as say,\n)\nx = (") == f'say={PRELUDE}["log"]\n\n\nx = ('
    assert fed("  from sidestep import log; x = (") == f'  log={PRELUDE}["log"]; x = ('


def test_line_ends_become_line_feeds_and_a_byte_order_mark_goes():
    assert fed("\ufeffa = 1\r\nb = 2\rc = '''\r\n'''") == "a = 1\nb = 2\nc = '''\n'''"


def test_the_prelude_reaches_nothing_that_a_script_can_assign():
    """Every name the prelude uses is its own, or bound when it is fed, before the script is."""
    tree = ast.parse(prelude_source())
    factory = tree.body[0]
    assert isinstance(factory, ast.FunctionDef)
    bound = {argument.arg for argument in factory.args.args}
    used: set[str] = set()
    for node in ast.walk(factory):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                bound.add(name)
            case ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.alias(name=name):
                bound.add(name)
            case _:
                pass
    # The defaults of the factory's parameters are read when it is fed.
    assert used - bound - {"Awaitable", "Callable", "Chain"} == set()


def test_the_modules_of_the_prelude_define_no_name_twice():
    factory = ast.parse(prelude_source()).body[0]
    assert isinstance(factory, ast.FunctionDef)
    names = [
        node.name for node in factory.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    assert len(names) == len(set(names))


def test_the_prelude_is_fed_as_it_was_written_and_without_what_is_for_tools():
    """It is put together line by line; here the same by Python's own parser."""
    expected: list[ast.stmt] = []
    for module in MODULES:
        text = (Path(loader.__file__).parent / "prelude" / f"{module}.py").read_text("utf-8")
        expected += [_Undocumented().visit(each) for each in ast.parse(text).body if not _is_for_tools(each)]
    factory = ast.parse(prelude_source()).body[0]
    assert isinstance(factory, ast.FunctionDef)
    assert [ast.dump(each) for each in factory.body[:-1]] == [ast.dump(each) for each in expected]
    used = {node.id for each in expected for node in ast.walk(each) if isinstance(node, ast.Name)}
    assert used & set(dir(builtins)) == set(PRELUDE_BUILTINS)


def _is_for_tools(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__" or (statement.module or "").startswith("sidestep.")
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) == "TYPE_CHECKING"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


class _Undocumented(ast.NodeTransformer):
    """Takes docstrings out."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:]
        return node


def test_a_script_is_loaded_once_and_a_changed_one_anew():
    source = "import asyncio\nasync def main(): ...  # kept"
    assert load(source) is load(source)
    assert fed(source) != fed(source.replace("kept", "gone"))
    for number in range(2 * LOADED_SCRIPTS_MAX):
        load(f"x = {number}")
    assert load.cache_info().currsize == LOADED_SCRIPTS_MAX


@pytest.mark.slow
def test_importing_the_loader_does_not_import_monty():
    import subprocess

    code = "import sys, sidestep.runtime.sandbox, sidestep.runtime.loader; sys.exit('pydantic_monty' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )
