"""
Scripts that try to get out, to stay in for ever, or to take others with them (X1), by category.

Each is (name, source, ends): `ends` is the code of the failure, or "returns", or "any" when either is fine.
"""

from __future__ import annotations

IMPORTS = [
    ("import subprocess", "import subprocess\nasync def main(): subprocess.run(['id'])", "script"),
    ("import ctypes", "import ctypes\nasync def main(): pass", "script"),
    ("import socket", "import socket\nasync def main(): pass", "script"),
    ("import the server", "import sidestep.store\nasync def main(): pass", "script"),
    ("dunder import", "async def main(): return __import__('os').system('id')", "script"),
    ("importlib", "import importlib\nasync def main(): importlib.import_module('os')", "script"),
    ("relative import", "from . import x\nasync def main(): pass", "script"),
    ("os.system", "import os\nasync def main(): os.system('id')", "script"),
    ("os.fork", "import os\nasync def main(): os.fork()", "script"),
    ("os.kill", "import os\nasync def main(): os.kill(1, 9)", "script"),
    ("sys.modules", "import sys\nasync def main(): return str(sys.modules)", "script"),
]

FILES = [
    ("open for reading", "async def main(): return open('/etc/passwd').read()", "script"),
    ("open for writing", "async def main(): open('/tmp/hostile', 'w').write('x')", "script"),
    ("pathlib", "from pathlib import Path\nasync def main(): return Path('/etc/passwd').read_text()", "script"),
    ("listdir", "import os\nasync def main(): return os.listdir('/')", "script"),
    ("unlink", "from pathlib import Path\nasync def main(): Path('/tmp/hostile').unlink()", "script"),
    ("file descriptor", "async def main(): return open(0).read()", "script"),
    ("environment", "import os\nasync def main(): return dict(os.environ)", "script"),
]

INTROSPECTION = [
    ("subclasses", "async def main(): return str(().__class__.__bases__[0].__subclasses__())", "script"),
    ("globals of a function", "def f(): pass\nasync def main(): return str(f.__globals__)", "script"),
    ("code object", "def f(): pass\nasync def main(): f.__code__ = 1", "script"),
    ("frames", "import sys\nasync def main(): return str(sys._getframe())", "script"),
    ("coroutine frame", "async def f(): pass\nasync def main(): return str(f().cr_frame)", "script"),
    (
        "traceback",
        "async def main():\n    try: 1/0\n    except ZeroDivisionError as e: return e.__traceback__.tb_frame",
        "script",
    ),
    ("builtins", "async def main(): return str(__builtins__)", "script"),
    ("format string", "class A:\n    pass\nasync def main(): return '{0.__init__.__globals__}'.format(A())", "any"),
    ("the host function", "async def main(): return str(__sidestep_host__.__globals__)", "script"),
    ("the prelude", "async def main(): __sidestep__.clear()\n", "any"),
    ("the prelude before main", "__sidestep__ = None\nasync def main(): return 1", "script"),
    ("the arguments", "async def main(): return __sidestep_args__", "returns"),
    ("type", "async def main(): return str(type('X', (), {}))", "any"),
    ("eval of an import", "async def main(): return eval('__import__(\"os\").getpid()')", "script"),
    ("exec", "async def main(): exec('import subprocess')", "script"),
    ("a deep value to a missing function", "x = []\nfor _ in range(300000): x = [x]\nmissing(x)", "script"),
    ("an object to a missing function", "class A:\n    def __hash__(self): return 1\nmissing({A(): 1})", "script"),
    ("a huge number to a missing function", "missing(10**100000)", "script"),
    ("a forged call", 'async def main(): __sidestep_host__(\'{"call": "agent"}\')', "script"),
    (
        "a forged abort",
        'async def main(): __sidestep_host__(\'{"call":"abort","payload":{"scope":1},"line":1,"scopes":[]}\')',
        "any",
    ),
    ("a forged call of huge size", "async def main(): __sidestep_host__('x' * 30_000_000)", "script"),
]

MEMORY = [
    ("a list that grows", "async def main():\n    x = []\n    while True: x.append('a' * 100000)", "limit"),
    ("one huge string", "async def main(): return 'a' * 10**12", "limit"),
    ("one huge number", "async def main(): return 10 ** 10 ** 9", "limit"),
    ("one huge range", "async def main(): return list(range(10**10))", "limit"),
    ("doubling", "async def main():\n    x = 'a'\n    while True: x += x", "limit"),
    ("a huge join", "async def main(): return ','.join(['a' * 10**6] * 1000)", "limit"),
    ("a huge replace", "async def main(): return ('a' * 10**6).replace('a', 'b' * 10**6)", "limit"),
    ("a huge format width", "async def main(): return f'{1:>{10**10}}'", "any"),
    (
        "billion laughs",
        "async def main():\n    x = ['lol'] * 10\n    for _ in range(12): x = [x] * 10\n    return x",
        "limit",
    ),
    ("a matrix", "async def main(): return [[0] * 10**5 for _ in range(10**5)]", "limit"),
]

TIME = [
    ("a busy loop", "async def main():\n    while True: pass", "limit"),
    ("a busy loop at the top", "while True: pass", "limit"),
    (
        "a caught limit",
        "async def main():\n    while True:\n        try:\n            while True: pass\n        except: pass",
        "limit",
    ),
    (
        "a finally that loops",
        "async def main():\n    try:\n        while True: pass\n    finally:\n        while True: pass",
        "limit",
    ),
    (
        "coroutines that only yield",
        "import asyncio\nasync def f(): pass\nasync def main():\n    while True: await asyncio.gather(f(), f())",
        "limit",
    ),
    ("a number to a power", "async def main(): return pow(3, 10**9, 10**10000)", "any"),
    ("sort with a slow key", "async def main(): return sorted(range(10**6), key=lambda x: str(x) * 100)", "limit"),
    (
        "a loop of refused imports",
        "async def main():\n    while True:\n        try: import x\n        except ImportError: pass",
        "limit",
    ),
    (
        "asyncio.run inside",
        "import asyncio\nasync def f():\n    while True: pass\nasync def main(): asyncio.run(f())",
        "limit",
    ),
]

DEPTH = [
    ("recursion", "def f(n): return f(n + 1)\nasync def main(): return f(0)", "limit"),
    ("recursion of coroutines", "async def f(n): return await f(n + 1)\nasync def main(): return await f(0)", "limit"),
    ("a cyclic result", "async def main():\n    x = []\n    x.append(x)\n    return x", "validation"),
    ("a deep result", "async def main():\n    x = []\n    for _ in range(300000): x = [x]\n    return x", "validation"),
    (
        "comparing deep values",
        "async def main():\n    a, b = [], []\n    for _ in range(100000): a, b = [a], [b]\n    return a == b",
        "limit",
    ),
    (
        "hashing a deep value",
        "async def main():\n    a = ()\n    for _ in range(100000): a = (a,)\n    return hash(a)",
        "limit",
    ),
    (
        "printing a deep value",
        "async def main():\n    x = []\n    for _ in range(300000): x = [x]\n    print(x)",
        "any",
    ),
    ("deep source", "x = " + "(" * 100_000, "script"),
    ("deep blocks", "".join(" " * n + "if 1:\n" for n in range(300)) + " " * 300 + "pass", "script"),
    ("deep JSON", "import json\nasync def main(): return json.loads('[' * 100000 + ']' * 100000)", "script"),
]

REGEX = [
    ("nested quantifiers", "import re\nasync def main(): return bool(re.match(r'(a+)+$', 'a' * 50 + 'b'))", "any"),
    ("a back reference", "import re\nasync def main(): return bool(re.match(r'(a*)*\\1b', 'a' * 50))", "any"),
    ("a huge pattern", "import re\nasync def main(): return bool(re.match('(' * 5000 + ')' * 5000, ''))", "any"),
    ("a huge repeat", "import re\nasync def main(): return bool(re.match('a{1000000000}', 'a'))", "any"),
]

EXCEPTIONS = [
    ("SystemExit", "async def main(): raise SystemExit(0)", "script"),
    ("KeyboardInterrupt", "async def main(): raise KeyboardInterrupt", "script"),
    ("a huge message", "async def main(): raise ValueError('x' * 20_000_000)", "script"),
    ("a message of odd characters", "async def main(): raise ValueError('\\x00\\ud800\\x1b[31m')", "script"),
    ("raise of no exception", "async def main(): raise 3", "script"),
    ("a repr that fails", "class A:\n    def __repr__(self): return 1 / 0\nasync def main(): print(A())", "any"),
    (
        "an error of an error",
        "async def main():\n    try: 1/0\n    except: raise ValueError('y') from RuntimeError('x')",
        "script",
    ),
    ("exit", "async def main(): exit(0)", "script"),
    ("an unknown syntax", "async def main():\n    match = yield", "script"),
    ("no text at all", "", "script"),
    ("null characters", "x = '\0'\nasync def main(): return x", "any"),
    ("half a character", "x = '\ud800'\nasync def main(): return x", "script"),
]

OUTPUT = [
    ("print for ever", "async def main():\n    while True: print('x' * 1000)", "limit"),
    ("print empty lines for ever", "async def main():\n    while True: print()", "limit"),
    ("print without lines for ever", "async def main():\n    while True: print('x', end='')", "limit"),
    ("print one huge line", "async def main(): print('x' * 1_000_000)", "returns"),
    ("print to stderr for ever", "import sys\nasync def main():\n    while True: print('x', file=sys.stderr)", "limit"),
    ("log for ever", "from sidestep import log\nasync def main():\n    while True: log('x' * 20000)", "limit"),
    ("phase for ever", "from sidestep import phase\nasync def main():\n    while True: phase('x')", "limit"),
    ("write to stdout", "import sys\nasync def main(): sys.stdout.write('x')", "any"),
]

STEPS = [
    (
        "a flood of steps",
        "from sidestep import command, parallel\nasync def main():\n    await parallel([command(['x'], id=str(n)) for n in range(20000)])",  # noqa: E501
        "any",
    ),
    (
        "a flood of gathered steps",
        "import asyncio\nfrom sidestep import command\nasync def main():\n    await asyncio.gather(*[command(['x'] , id=str(n)) for n in range(60000)])",  # noqa: E501
        "limit",
    ),
    ("a huge step", "from sidestep import command\nasync def main(): await command(['x' * 10**7], id='x')", "script"),
    (
        "many large steps",
        "from sidestep import command, parallel\nasync def main():\n    x = 'x' * 10**6\n    await parallel([command([x], id=str(n)) for n in range(1000)])",  # noqa: E501
        "limit",
    ),
    (
        "parallel of parallels",
        "from sidestep import parallel\nasync def f(n): return await parallel([f(n + 1)])\nasync def main(): await f(0)",  # noqa: E501
        "limit",
    ),
]

HOSTILE = {
    "imports": IMPORTS,
    "files": FILES,
    "introspection": INTROSPECTION,
    "memory": MEMORY,
    "time": TIME,
    "depth": DEPTH,
    "regex": REGEX,
    "exceptions": EXCEPTIONS,
    "output": OUTPUT,
    "steps": STEPS,
}
