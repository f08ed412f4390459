"""The rules of the house, held by reading the source: layers, sizes, nothing hollow, docs that match."""

import ast
import re
import statistics
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tocsin.app.settings import Settings, markdown_table

ROOT = Path(__file__).parent.parent
# Imports go down only: a package may use those of lower layers, and its neighbours as long as none is mutual.
LAYERS = (
    {"tocsin.model", "tocsin.errors", "tocsin"},
    {
        "tocsin.formats",
        "tocsin.catalog",
        "tocsin.decision",
        "tocsin.render",
        "tocsin.store",
        "tocsin.providers",
    },
    {"tocsin.delivery", "tocsin.bounces"},
    {"sources", "operators"},
    {"sinks"},
    {"dashboards", "tocsin.app"},
    {"flows", "tocsin.gateway"},
    {"tocsin.devkit", "tocsin.cli"},
)
LAYER = {package: number for number, layer in enumerate(LAYERS) for package in layer}
MAY_READ_SETTINGS = {"tocsin.app", "flows", "tocsin.gateway", "tocsin.devkit", "tocsin.cli"}
TOPS = sorted({package.partition(".")[0] for package in LAYER})
SETTINGS = "tocsin/app/settings.py"
Function = ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_UNFINISHED = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
_BLANKET = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:))")
_ASSERTING = {"raises", "fail", "suppress", "wait_for", "timeout", "check_call", "run_state_machine_as_test"}


@cache
def files(kind: str = "code") -> tuple[Path, ...]:
    """List the source files: of the packages (`code`), or of the tests (`tests`)."""
    folders = [ROOT / "tests"] if kind == "tests" else [ROOT / top for top in TOPS]
    return tuple(file for folder in folders for file in sorted(folder.rglob("*.py")))


@cache
def tree(file: Path) -> ast.Module:
    """Parse a file."""
    return ast.parse(file.read_text())


def name(file: Path) -> str:
    """Name a file as the repository does."""
    return str(file.relative_to(ROOT))


@cache
def functions(kind: str = "code") -> tuple[tuple[Path, Function], ...]:
    """List every function and method."""
    return tuple(
        (file, node) for file in files(kind) for node in ast.walk(tree(file)) if isinstance(node, Function)
    )


@cache
def imports(file: Path) -> frozenset[str]:
    """Name every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(file)}:{node.lineno}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def package_of(module: str) -> str:
    """Name the package of a module: two levels of `tocsin`, else the top level."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "tocsin" and len(parts) > 1 else parts[0]


def home(file: Path) -> str:
    """Name the package a file belongs to."""
    return package_of(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


@cache
def package_graph() -> dict[str, set[str]]:
    """Say which package uses which."""
    graph: dict[str, set[str]] = {package: set() for package in LAYER}
    for file in files():
        graph[home(file)] |= {package_of(module) for module in imports(file)} & LAYER.keys() - {home(file)}
    return graph


def code_lines(node: Function) -> int:
    """Count the lines of a function without its docstring."""
    first = node.body[0]
    documented = ast.get_docstring(node, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def nesting(node: ast.AST) -> int:
    """Measure how deep blocks stand within each other; an `elif` stands beside its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        beside = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, nesting(child) + (isinstance(child, _BLOCKS) and not beside))
    return deepest


def p90(values: list[int]) -> float:
    """Give the value that nine of ten stay below."""
    return statistics.quantiles(values, n=10)[-1]


@cache
def scopes(file: Path) -> dict[ast.AST, tuple[ast.AST, ...]]:
    """Say in which classes and functions each class and function of a file stands, outermost first."""
    found: dict[ast.AST, tuple[ast.AST, ...]] = {}

    def visit(node: ast.AST, around: tuple[ast.AST, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, Function | ast.ClassDef)
            if named:
                found[child] = around
            visit(child, (*around, child) if named else around)

    visit(tree(file), ())
    return found


def is_declared_only(file: Path, node: Function) -> bool:
    """Whether a body is rightly empty: of a protocol, abstract, or an overload."""
    decorators = " ".join(map(ast.unparse, node.decorator_list))
    classes = [each for each in scopes(file)[node] if isinstance(each, ast.ClassDef)]
    protocol = any("Protocol" in ast.unparse(base) for each in classes for base in each.bases)
    return protocol or bool(re.search("abstractmethod|overload", decorators))


def is_hollow(file: Path, node: Function) -> bool:
    """Whether a function pretends: no work in it, or a refusal in place of work.

    A method whose docstring says why there is nothing to do for its class fulfils an interface.
    """
    refuses = any("NotImplementedError" in ast.unparse(each) for each in node.body)
    documented = ast.get_docstring(node, clean=False) is not None
    body = node.body[1:] if documented else node.body
    idle = all(isinstance(each, ast.Pass | ast.Expr) and not _calls(each) for each in body)
    return refuses or (idle and not (documented and scopes(file)[node]))


def _calls(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Call | ast.Await | ast.Yield | ast.YieldFrom) for each in ast.walk(node))


def offences(found: Iterator[str]) -> str:
    """Join what was found; empty if nothing was."""
    return "\n".join(sorted(found))


def test_imports_go_down_only() -> None:
    wrong = (
        f"{package} (layer {LAYER[package]}) imports {used} (layer {LAYER[used]})"
        for package, uses in package_graph().items()
        for used in uses
        if LAYER[used] > LAYER[package]
    )
    assert not offences(wrong)


def test_no_two_packages_import_each_other() -> None:
    graph = package_graph()
    mutual = (f"{one} <-> {two}" for one, uses in graph.items() for two in uses if one in graph[two])
    assert not offences(mutual)


def test_the_graph_sees_the_packages() -> None:
    graph = package_graph()
    assert "tocsin.model" in graph["tocsin.decision"]
    assert not graph["tocsin.model"]
    assert {home(file) for file in files()} >= LAYER.keys()


def test_settings_are_read_at_the_edge_only() -> None:
    wrong = (
        name(file)
        for file in files()
        if home(file) not in MAY_READ_SETTINGS
        and any(module.startswith("tocsin.app.settings") for module in imports(file))
    )
    assert not offences(wrong)


@pytest.mark.parametrize(
    ("kind", "pattern", "meaning"),
    [
        ("code", _UNFINISHED, "unfinished"),
        ("tests", _UNFINISHED, "unfinished"),
        ("code", _BLANKET, "an ignore without a code"),
        ("tests", _BLANKET, "an ignore without a code"),
    ],
)
def test_no_line_is_left_for_later(kind: str, pattern: re.Pattern[str], meaning: str) -> None:
    wrong = (
        f"{name(file)}:{number}: {meaning}: {line.strip()}"
        for file in files(kind)
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if pattern.search(line) and file != Path(__file__)
    )
    assert not offences(wrong)


def test_no_function_is_hollow() -> None:
    wrong = (
        f"{name(file)}:{node.lineno}: {node.name}"
        for file, node in functions()
        if is_hollow(file, node) and not is_declared_only(file, node)
    )
    assert not offences(wrong)


def test_no_error_is_caught_blindly() -> None:
    wrong = (
        f"{name(file)}:{node.lineno}: {ast.unparse(node).splitlines()[0]}"
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ExceptHandler) and _is_blind(node) and not _says_why(file, node)
    )
    assert not offences(wrong)


def _is_blind(node: ast.ExceptHandler) -> bool:
    """Whether it catches everything and does not raise again."""
    caught = ast.unparse(node.type) if node.type else "BaseException"
    raises = any(isinstance(each, ast.Raise) for each in ast.walk(node))
    return bool(re.search(r"\b(Base)?Exception\b", caught)) and not raises


def _says_why(file: Path, node: ast.ExceptHandler) -> bool:
    """Whether it is at the flow edge and its line gives the reason."""
    line = file.read_text().splitlines()[node.lineno - 1]
    at_the_edge = home(file) in {
        "operators",
        "flows",
        "tocsin.gateway",
        "sinks",
        "tocsin.providers",
        "tocsin.delivery",
        "tocsin.devkit",
        "tocsin.cli",
    }
    return at_the_edge and "#" in line


def test_what_runs_in_production_imports_nothing_of_the_devkit() -> None:
    """Only the devkit and the demo may: an installation without the extra `local` lacks its libraries."""
    wrong = (
        f"{name(file)}: {module}"
        for file in files()
        if home(file) != "tocsin.devkit" and not name(file).startswith("tocsin/cli/demo")
        for module in imports(file)
        if package_of(module) == "tocsin.devkit" or module.startswith("tocsin.cli.demo")
    )
    assert not offences(wrong)


def test_every_test_can_fail() -> None:
    wrong = (
        f"{name(file)}:{node.lineno}: {node.name}"
        for file, node in functions("tests")
        if node.name.startswith("test_") and not _can_fail(node)
    )
    assert not offences(wrong)


def _can_fail(node: Function) -> bool:
    """Whether it asserts, or calls what does."""
    return _asserts(node) or bool(_called(node) & (_ASSERTING | _asserting_helpers()))


def _asserts(node: Function) -> bool:
    return any(
        isinstance(each, ast.Assert) and not isinstance(each.test, ast.Constant) for each in ast.walk(node)
    )


@cache
def _called(node: Function) -> frozenset[str]:
    """Name what a function calls, without the object it is called on."""
    calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    return frozenset(ast.unparse(each).rpartition(".")[2] for each in calls)


@cache
def _asserting_helpers() -> frozenset[str]:
    """Name the functions of the tests that assert, themselves or through others."""
    found: set[str] = set()
    while new := {
        node.name
        for _, node in functions("tests")
        if node.name not in found and (_asserts(node) or _called(node) & found)
    }:
        found |= new
    return frozenset(found)


def test_nothing_of_our_own_is_mocked() -> None:
    wrong = (
        f"{name(file)}: {module}"
        for file in files("tests")
        for module in imports(file)
        if module.startswith(("unittest.mock", "mock.", "pytest_mock"))
    )
    assert not offences(wrong)


def test_every_public_function_is_documented_and_annotated() -> None:
    wrong = (
        f"{name(file)}:{node.lineno}: {node.name}"
        for file, node in functions()
        if is_public(file, node) and not is_complete(node)
    )
    assert not offences(wrong)


def is_public(file: Path, node: Function) -> bool:
    """Whether it can be reached from outside: it is not private, and not in a private class or a function."""
    around = scopes(file)[node]
    return not any(
        isinstance(each, Function) or (isinstance(each, ast.ClassDef) and each.name.startswith("_"))
        for each in around
    ) and not node.name.startswith("_")


def is_complete(node: Function) -> bool:
    """Whether all is annotated and documented."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    annotated = all(each.annotation or each.arg in {"self", "cls"} for each in arguments)
    return bool(annotated and node.returns and ast.get_docstring(node))


@pytest.mark.parametrize(
    ("measure", "of", "limit"),
    [
        ("function median", statistics.median, 8),
        ("function p90", p90, 25),
    ],
)
def test_functions_are_short(measure: str, of: Callable[[list[int]], float], limit: int) -> None:
    sizes = [code_lines(node) for _, node in functions()]
    longest = sorted(((code_lines(node), f"{name(file)} {node.name}") for file, node in functions()))[-10:]
    assert of(sizes) <= limit, (measure, of(sizes), longest)


@pytest.mark.parametrize(
    ("measure", "of", "limit"),
    [
        ("file median", statistics.median, 150),
        ("file p90", p90, 400),
    ],
)
def test_files_are_short(measure: str, of: Callable[[list[int]], float], limit: int) -> None:
    sizes = {name(file): len(file.read_text().splitlines()) for file in files() if file.stat().st_size > 200}
    longest = sorted((size, file) for file, size in sizes.items())[-10:]
    assert of(list(sizes.values())) <= limit, (measure, longest)


def test_blocks_are_not_nested_beyond_three() -> None:
    wrong = (
        f"{name(file)}:{node.lineno}: {node.name} nests {nesting(node)}"
        for file, node in functions()
        if nesting(node) > 3
    )
    assert not offences(wrong)


def test_settings_in_the_readme_are_those_of_the_code() -> None:
    readme = (ROOT / "README.md").read_text()
    if not readme.strip():
        pytest.skip("README.md is empty")
    between = re.search(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", readme, re.DOTALL)
    assert between, (
        "README.md needs <!-- settings --> … <!-- /settings --> around `python -m tocsin.app.settings`"
    )
    assert between[1].strip() == markdown_table().strip(), "run `python -m tocsin.app.settings`"


@cache
def read_of_settings() -> frozenset[str]:
    """Name what the code reads of `settings` (or `self._settings`) outside the settings' own module."""
    return frozenset(
        node.attr
        for file in files()
        if name(file) != SETTINGS
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("settings")
    )


def read_by_methods(called: frozenset[str]) -> set[str]:
    """Name the fields that methods of `Settings` read, of methods that are called."""
    return {
        node.attr
        for method in ast.walk(tree(ROOT / SETTINGS))
        if isinstance(method, Function) and method.name in called
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
    }


def test_every_setting_has_an_effect() -> None:
    read = read_of_settings()
    unread = set(Settings.model_fields) - read - read_by_methods(read)
    assert unread == set(), "remove these settings, or read them"


def test_a_setting_that_nobody_reads_would_be_found() -> None:
    read = read_of_settings()
    assert "key_groups" in read
    assert "secret" in read_by_methods(read)
    assert "a_setting_nobody_reads" not in read | read_by_methods(read)


def declared(*extras: str) -> set[str]:
    """Name the distributions that pyproject.toml asks for, normalised."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    more = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for each in extras for line in more[each])]
    return {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in lines}


def normal(distribution: str) -> str:
    """Spell a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.mark.parametrize(
    ("kind", "edge", "extras"),
    [
        ("code", False, ("registry", "bounces")),
        ("code", True, ("local", "registry", "bounces", "mcp")),
        ("tests", True, ("local", "registry", "bounces", "mcp", "dev")),
    ],
)
def test_what_is_imported_is_asked_for(kind: str, edge: bool, extras: tuple[str, ...]) -> None:
    """A fresh environment holds what the packages import; some may also use an extra of their own."""
    known = {module: set(map(normal, found)) for module, found in packages_distributions().items()}
    ours = {*TOPS, "tests", "bench"} | sys.stdlib_module_names
    wrong = (
        f"{name(file)}: {module}"
        for file in files(kind)
        if edge or home(file) not in {"tocsin.devkit", "tocsin.cli"}
        for module in {each.partition(".")[0] for each in imports(file)} - ours
        if not known.get(module, set()) & declared(*extras)
    )
    assert not offences(wrong)
