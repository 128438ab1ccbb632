"""Blocking or awaited: decided by the kind of the code that calls."""

import pytest
from guest_kernel import GuestKernel


@pytest.fixture(scope="module")
def kernel():
    kernel = GuestKernel()
    yield kernel
    kernel.close()


BLOCKS = {
    "loop": "r = []\nfor p in 'ab': r.append(llm_query(p))\nr",
    "list comprehension": "[llm_query(p) for p in 'ab']",
    "set comprehension": "sorted({llm_query(p) for p in 'ab'})",
    "dict comprehension": "list({p: llm_query(p) for p in 'ab'}.values())",
    "nested comprehension": "[x for row in [[llm_query(p) for p in 'ab']] for x in row]",
    "generator expression": "list(llm_query(p) for p in 'ab')",
    "generator function": "def g():\n    for p in 'ab': yield llm_query(p)\nlist(g())",
    "lambda": "f = lambda p: llm_query(p)\n[f('a'), f('b')]",
    "map": "list(map(llm_query, 'ab'))",
    "map of a lambda": "list(map(lambda p: llm_query(p), 'ab'))",
    "function": "def f(p): return llm_query(p)\n[f('a'), f('b')]",
    "nested function": "def f():\n    def g(p): return llm_query(p)\n    return [g('a'), g('b')]\nf()",
    "method": "class A:\n    def f(self, p): return llm_query(p)\n[A().f(p) for p in 'ab']",
    "class body": "class A:\n    r = [llm_query('a')]\n    r.append(llm_query('b'))\nA.r",
    "decorator": "def shout(f): return lambda p: f(p)\n@shout\ndef f(p): return llm_query(p)\n[f('a'), f('b')]",
    "decorator expression": "def d(x): return lambda f: x\n@d([llm_query('a'), llm_query('b')])\ndef r(): pass\nr",
    "default argument": "def f(r=[llm_query('a'), llm_query('b')]): return r\nf()",
    "partial": "import functools\nf = functools.partial(llm_query, model=None)\n[f('a'), f('b')]",
    "cache": "import functools\n@functools.lru_cache\ndef f(p): return llm_query(p)\n[f('a'), f('b')]",
    "exec": "s = {'llm_query': llm_query}\nexec(\"r = [llm_query('a'), llm_query('b')]\", s)\ns['r']",
    "eval": "eval(\"[llm_query('a'), llm_query('b')]\")",
    "sorted with a key": "[llm_query(p) for p in sorted('ba', key=lambda p: llm_query(p))]",
    "thread": "import threading\nr = []\nt = threading.Thread(target=lambda: r.extend([llm_query('a'), llm_query('b')]))\nt.start(); t.join(); r",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor as P\nwith P() as p: r = list(p.map(llm_query, 'ab'))\nr",
    "thread pool of lambdas": "from concurrent.futures import ThreadPoolExecutor as P\nwith P() as p: r = [p.submit(lambda: llm_query('a')), p.submit(llm_query, 'b')]\n[f.result() for f in r]",
    "batch": "llm_query_batched(['a', 'b'])",
    "batch by its other names": "llm_batch(['a']) + llm_query_batch(['b'])",
    "batch of calls": "batch_llm_query(llm_query('a'), llm_query('b'))",
    "pandas": "import pandas as pd\nlist(pd.Series(['a', 'b']).apply(lambda p: llm_query(p)))",
    "asyncio.run": "import asyncio\nasync def main(): return [await llm_query('a'), await llm_query('b')]\nasyncio.run(main())",
    "asyncio.run of gather": "import asyncio\nasync def main(): return await asyncio.gather(*[llm_query(p) for p in 'ab'])\nasyncio.run(main())",
    "run_until_complete": "import asyncio\nasync def main(): return [await llm_query('a'), await llm_query('b')]\nasyncio.get_event_loop().run_until_complete(main())",
    "coroutine that is stepped by hand, without a loop": "from concurrent.futures import ThreadPoolExecutor as P\nasync def f(): return [llm_query('a'), llm_query('b')]\ndef step():\n    try: f().send(None)\n    except StopIteration as e: return e.value\nwith P() as p: r = p.submit(step).result()\nr",
    "a loop of its own": "import asyncio\nasync def main(): return [await llm_query('a'), await llm_query('b')]\nloop = asyncio.new_event_loop()\nr = loop.run_until_complete(main()); loop.close()\nr",
}

AWAITS = {
    "top level": "[await llm_query('a'), await llm_query('b')]",
    "statement before the one that awaits": "t = [llm_query(p) for p in 'ab']\nimport asyncio\nawait asyncio.gather(*t)",
    "loop": "r = []\nfor p in 'ab': r.append(await llm_query(p))\nr",
    "comprehension": "[await llm_query(p) for p in 'ab']",
    "comprehension then gather": "import asyncio\nawait asyncio.gather(*[llm_query(p) for p in 'ab'])",
    "generator expression into gather": "import asyncio\nawait asyncio.gather(*(llm_query(p) for p in 'ab'))",
    "lambda": "f = lambda p: llm_query(p)\n[await f('a'), await f('b')]",
    "map": "import asyncio\nawait asyncio.gather(*map(llm_query, 'ab'))",
    "coroutine": "async def f(p): return await llm_query(p)\n[await f('a'), await f('b')]",
    "nested coroutine": "async def f():\n    async def g(p): return await llm_query(p)\n    return [await g('a'), await g('b')]\nawait f()",
    "comprehension in a coroutine": "import asyncio\nasync def f():\n    t = [llm_query(p) for p in 'ab']\n    return await asyncio.gather(*t)\nawait f()",
    "nested comprehension in a coroutine": "async def f(): return [await x for row in [[llm_query(p) for p in q] for q in ('a', 'b')] for x in row]\nawait f()",
    "method": "class A:\n    async def f(self, p): return await llm_query(p)\n[await A().f(p) for p in 'ab']",
    "decorated coroutine": "import functools\ndef d(f):\n    @functools.wraps(f)\n    async def w(*a): return await f(*a)\n    return w\n@d\nasync def f(p): return await llm_query(p)\n[await f('a'), await f('b')]",
    "class body in an async cell": "class A: r = [llm_query('a'), llm_query('b')]\n[await c for c in A.r]",
    "async generator": "async def g():\n    for p in 'ab': yield await llm_query(p)\n[x async for x in g()]",
    "async for": "async def g():\n    for p in 'ab': yield llm_query(p)\nr = []\nasync for c in g(): r.append(await c)\nr",
    "async with": "import contextlib\n@contextlib.asynccontextmanager\nasync def c(): yield llm_query('a')\nasync with c() as x: r = [await x, await llm_query('b')]\nr",
    "create_task": "import asyncio\nt = [asyncio.create_task(llm_query(p)) for p in 'ab']\n[await x for x in t]",
    "create_task of a coroutine": "import asyncio\nasync def f(p): return await llm_query(p)\nt = [asyncio.create_task(f(p)) for p in 'ab']\n[await x for x in t]",
    "ensure_future": "import asyncio\nt = [asyncio.ensure_future(llm_query(p)) for p in 'ab']\n[await x for x in t]",
    "wait_for": "import asyncio\n[await asyncio.wait_for(llm_query(p), 60) for p in 'ab']",
    "shield": "import asyncio\n[await asyncio.shield(llm_query(p)) for p in 'ab']",
    "timeout": "import asyncio\nasync with asyncio.timeout(60): r = [await llm_query(p) for p in 'ab']\nr",
    "wait for tasks": "import asyncio\nd, _ = await asyncio.wait([asyncio.create_task(llm_query(p)) for p in 'ab'])\nsorted(x.result() for x in d)",
    "as_completed": "import asyncio\nsorted([await x for x in asyncio.as_completed([llm_query(p) for p in 'ab'])])",
    "generator that a function of asyncio runs through": "import asyncio\ns = {'__name__': 'asyncio.tasks'}\nexec('def f(calls): return list(calls)', s)\nawait asyncio.gather(*s['f'](llm_query(p) for p in 'ab'))",
    "task group": "import asyncio\nasync with asyncio.TaskGroup() as g: t = [g.create_task(llm_query(p)) for p in 'ab']\n[x.result() for x in t]",
    "semaphore": "import asyncio\ns = asyncio.Semaphore(1)\nasync def f(p):\n    async with s: return await llm_query(p)\nawait asyncio.gather(*map(f, 'ab'))",
    "queue of workers": "import asyncio\nq = asyncio.Queue(); r = []\nfor p in 'ab': q.put_nowait(p)\nasync def w():\n    while not q.empty(): r.append(await llm_query(q.get_nowait()))\nawait asyncio.gather(w(), w())\nsorted(r)",
    "batch": "await llm_query_batched(['a', 'b'])",
    "task of a batch": "import asyncio\nawait asyncio.create_task(llm_query_batched(['a', 'b']))",
    "batch of calls": "await batch_llm_query(llm_query('a'), llm_query('b'))",
    "sync helper blocks in an async cell": "import asyncio\ndef f(p): return llm_query(p)\nawait asyncio.sleep(0)\n[f('a'), f('b')]",
    "sync helper blocks while calls wait": "t = llm_query('a')\ndef f(): return llm_query('b')\nr = f()\n[await t, r]",
    "to_thread blocks": "import asyncio\n[await asyncio.to_thread(llm_query, p) for p in 'ab']",
    "executor blocks": "import asyncio\n[await asyncio.get_running_loop().run_in_executor(None, llm_query, p) for p in 'ab']",
    "asyncio.run in an async cell": "import asyncio\nasync def main(): return [await llm_query('a'), await llm_query('b')]\nawait asyncio.sleep(0)\nasyncio.run(main())",
    "exec in an async cell blocks": "import asyncio\nawait asyncio.sleep(0)\nexec(\"r = [llm_query('a'), llm_query('b')]\")\nr",
    "asyncio.run of a call": "import asyncio\nawait asyncio.sleep(0)\n[asyncio.run(llm_query('a')), asyncio.get_running_loop().run_until_complete(llm_query('b'))]",
    "iscoroutine and isawaitable": "import asyncio, inspect\nc = llm_query('a')\nassert asyncio.iscoroutine(c) and inspect.isawaitable(c) and asyncio.isfuture(c)\n[await c, await llm_query('b')]",
    "the same call twice": "c = llm_query('a')\nassert await c == await c\n[await c, await llm_query('b')]",
}


@pytest.mark.parametrize("code", BLOCKS.values(), ids=BLOCKS)
def test_it_blocks_where_nothing_awaits(kernel, code):
    ran = kernel.run(code)
    assert (ran.error, ran.stderr, ran.result) == ("", "", "['<a>', '<b>']")


@pytest.mark.parametrize("code", AWAITS.values(), ids=AWAITS)
def test_it_is_awaited_where_code_awaits(kernel, code):
    ran = kernel.run(code)
    assert (ran.error, ran.stderr, ran.result) == ("", "", "['<a>', '<b>']")


def test_a_call_starts_at_once_and_not_when_it_is_awaited(kernel):
    kernel.reset()
    code = "import asyncio\nc = llm_query('early')\nwhile not c.done(): await asyncio.sleep(0.001)\nawait c"
    assert kernel.run(code).result == "'<early>'"


def test_a_call_that_was_not_awaited_tells_how_to(kernel):
    ran = kernel.run("import asyncio\nawait asyncio.sleep(0)\nc = llm_query('a')\nprint(c)\nc.upper()")
    assert "<llm_query(...), to be awaited" in ran.stdout
    assert "`llm_query(...)` must be awaited in this cell: (await llm_query(...)).upper" in ran.error
