"""All runs of a worker share the modules of the workflows (docs/decisions/015): nothing in them can
change, or one run would find what another left, and its replay elsewhere would not."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).parent.parent / "workflows"
FILES = sorted(WORKFLOWS.rglob("*.py"))

# What makes a value that does not change.
UNCHANGING = frozenset(
    {
        *("ConfigDict", "DataConverter", "PublicWorkflow", "Queue", "RetryPolicy", "SagaKind"),
        *("Field", "TypeVar", "auto", "compile", "field", "frozenset", "object", "timedelta"),
        *("for_bool", "for_keyword", "for_keyword_list"),
    }
)
# mypy refuses a change of what stands under one of these.
READ_ONLY = ("Mapping[", "Sequence[", "ClassVar[Mapping[", "ClassVar[FirstDefaults]")
_COMPREHENSIONS = (ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)
CHANGING = (ast.Call, ast.List, ast.Dict, ast.Set, *_COMPREHENSIONS)
SETTERS = frozenset({"setattr", "delattr"})
CACHES = frozenset({"cache", "lru_cache"})
# Of an activity, its types: the same for every run, and nothing of a request.
CACHED = frozenset({"_answers"})


def shared(source: str) -> list[str]:
    """What one run could leave for another."""
    tree = ast.parse(source)
    known = {"cls", *_names(tree)}
    walk = [found for node in ast.walk(tree) for found in _changes(node, known)]
    return [*_held(tree), *walk]


def _held(body: ast.Module | ast.ClassDef) -> Iterator[str]:
    """What a module or a class holds that can change."""
    for node in body.body:
        match node:
            case ast.ClassDef():
                yield from _held(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if not name.startswith("__"):
                yield from _changing(value)
            case ast.AnnAssign(annotation=kind, value=ast.expr() as value):
                if not ast.unparse(kind).startswith(READ_ONLY):
                    yield from _changing(value)


def _changing(value: ast.expr) -> Iterator[str]:
    match value:
        case ast.Tuple(elts=parts):
            for part in parts:
                yield from _changing(part)
        case ast.Call(func=ast.Name(id=made) | ast.Attribute(attr=made)) if made in UNCHANGING:
            pass
        case _ if isinstance(value, CHANGING):
            yield f"holds {ast.unparse(value)}"


def _changes(node: ast.AST, known: set[str]) -> Iterator[str]:
    """What a node changes of a module or a class."""
    match node:
        case ast.Global(names=names):
            yield f"changes {', '.join(names)}"
        case ast.arguments(defaults=defaults, kw_defaults=named):
            for default in (*defaults, *filter(None, named)):
                yield from _changing(default)
        case ast.FunctionDef(name=name, decorator_list=decorators) if name not in CACHED:
            made = [ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in decorators]
            yield from (f"holds a {each}" for each in made if each in CACHES)
        case ast.Call(func=ast.Name(id=name)) if name in SETTERS:
            yield f"changes {ast.unparse(node)}"
        case (
            ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del())
        ):
            if _root(node) in known:
                yield f"changes {ast.unparse(node)}"


def _root(node: ast.expr) -> str | None:
    """The name that an attribute or an item is of."""
    match node:
        case ast.Attribute(value=of) | ast.Subscript(value=of):
            return _root(of)
        case ast.Name(id=name):
            return name
        case ast.Call(func=ast.Name(id="type" | "vars")):
            return "cls"
    return None


def _names(tree: ast.Module) -> Iterator[str]:
    """The names of a module's own."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (name.asname or name.name.partition(".")[0] for name in names)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(WORKFLOWS).as_posix())
def test_no_run_can_leave_anything_in_a_workflow_file(path: Path) -> None:
    assert shared(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("found = []", "holds []"),
        ("found: list[str] = []", "holds []"),
        ("both = (1, {})", "holds {}"),
        ("inbox = Inbox()", "holds Inbox()"),
        ("numbers = (number for number in (1, 2))", "holds ("),
        ("class Saga:\n    found: dict[str, str] = {}", "holds {}"),
        ("def add(found=[]): pass", "holds []"),
        ("def add(*, found=dict()): pass", "holds dict()"),
        ("@functools.cache\ndef plan(): pass", "holds a cache"),
        ("@lru_cache\ndef plan(): pass", "holds a lru_cache"),
        ("def count():\n    global runs", "changes runs"),
        ("class Saga:\n    def run(self): Saga.runs = 1", "changes Saga.runs"),
        ("class Saga:\n    def run(self): type(self).runs += 1", "changes type(self).runs"),
        ("class Saga:\n    @classmethod\n    def run(cls): cls.runs += 1", "changes cls.runs"),
        ("from activities import errors\ndef run(): errors.TRIES = 1", "changes errors.TRIES"),
        ("TABLE: Mapping[str, str] = {}\ndef run(): TABLE['a'] = 'b'", "changes TABLE['a']"),
        ("TABLE: Mapping[str, str] = {}\ndef run(): del TABLE['a']", "changes TABLE['a']"),
        ("def run(kind): vars(kind)['runs'] = 1", "changes vars(kind)['runs']"),
        ("def run(kind): setattr(kind, 'runs', 1)", "changes setattr"),
    ],
)
def test_what_a_run_could_leave_is_seen(source: str, left: str) -> None:
    [found] = shared(source)
    assert found.startswith(left)


def test_what_can_not_change_and_what_is_a_runs_own_is_let_through() -> None:
    source = (
        "LONGEST = timedelta(days=1)\nNAMES = ('a', 'b')\n"
        "MARKS: Mapping[str, str] = {'done': '+'}\n"
        "class Found:\n"
        "    names: list[str] = field(default_factory=list)\n"
        "    def add(self, name, among=()): self.names, self.last['name'] = [name], name\n"
    )
    assert shared(source) == []
