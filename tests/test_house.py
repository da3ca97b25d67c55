"""The house rules: which way imports run, what lives where, and how long things get."""

import ast
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import convgraph

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for top in ("convgraph", "passes", "exporters") for path in (ROOT / top).rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
FUNCTIONS = [
    (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node)
    for path, tree in TREES.items()
    for node in ast.walk(tree)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
]

# What each floor may import of the package, besides itself. The face and the roof may import everything.
_GROUND = {"errors", "held", "ir"}
FLOORS = {
    "errors": set(),
    "held": set(),
    "installed": set(),
    "ir": {"errors"},
    "analysis": _GROUND,
    "importers": _GROUND,
    "numerics": _GROUND,
    "passes": {*_GROUND, "analysis", "numerics.evaluate"},
    "exporters": {*_GROUND, "analysis", "numerics.evaluate"},
}
ROOF = {"compiler", "report", "cli", "__init__", "__main__"}
# Which modules may reach the heavy packages; whoever is not listed may not.
EXTERNAL = {
    "loky": {"convgraph.numerics.contained"},
    "onnxruntime": {"convgraph.numerics.session"},
    "torch": {
        "convgraph.importers.torch_algebra",
        "convgraph.importers.torch_decisions",
        "convgraph.importers.torch_module",
        *(
            f"convgraph.exporters.torch_{part}"
            for part in ("layout", "module", "network", "pointwise", "windows")
        ),
    },
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    dotted = ".".join(part for part in parts if part != "__init__")
    return dotted if parts[0] == "convgraph" else f"convgraph.{dotted}"


def floor(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "convgraph" else parts[0]


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules a file imports, and of what it imports from packages."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""
            if node.module in {"convgraph", "convgraph.numerics"}:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_sources_are_found() -> None:
    assert len(SOURCES) > 40
    assert len(FUNCTIONS) > 300


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_run_one_way(path: Path) -> None:
    here = floor(path)
    names = [name for name in imported(path) if within(name, "convgraph")]
    if here not in {"__init__", "__main__", "cli"}:
        assert not [name for name in names if within(name, "convgraph.cli")], "nobody imports cli"
    if here in ROOF:
        return
    allowed = [f"convgraph.{part}" for part in (*FLOORS[here], here)]
    # `from convgraph.numerics import evaluate` names the package and then the permitted part of it.
    parents = {"convgraph", *(package.rpartition(".")[0] for package in allowed)} - {"convgraph"}
    wrong = [name for name in names if not any(within(name, package) for package in allowed)]
    assert not [name for name in wrong if name not in parents], f"{here} may import {sorted(allowed)}"


@pytest.mark.parametrize("package", sorted(EXTERNAL))
def test_runtimes_are_reached_from_one_place(package: str) -> None:
    reached = {module_name(path) for path in SOURCES if any(within(n, package) for n in imported(path))}
    assert reached <= EXTERNAL[package]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "torch"])
def test_the_graph_knows_no_file_format(package: str) -> None:
    paths = [path for path in SOURCES if floor(path) in {"ir", "errors"}]
    assert paths
    assert not [module_name(path) for path in paths if any(within(n, package) for n in imported(path))]


def test_only_the_graph_touches_networkx_attributes() -> None:
    graph = ROOT / "convgraph" / "ir" / "graph.py"
    assert list(networkx_attributes(TREES[graph])), "the check sees nothing where there is something"
    assert not [
        f"{path}:{line}" for path in SOURCES if path != graph for line in networkx_attributes(TREES[path])
    ]


def networkx_attributes(tree: ast.AST) -> Iterator[int]:
    """Lines that change a networkx graph or read what it keeps with nodes and edges."""
    writers = {
        f"{verb}_{what}"
        for verb in ("add", "remove")
        for what in ("node", "edge", "nodes_from", "edges_from")
    }
    tables = {f"{verb}_{what}_attributes" for verb in ("get", "set") for what in ("node", "edge")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in writers | tables:
            yield node.lineno
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
            inner = node.value
            if inner.attr in {"nodes", "edges", "adj"} and ast.unparse(inner.value).endswith("nx"):
                yield node.lineno
        if isinstance(node, ast.Call) and any(keyword.arg == "data" for keyword in node.keywords):  # noqa: SIM102
            if ast.unparse(node.func).endswith(("nx.nodes", "nx.edges", "nx.in_edges", "nx.out_edges")):
                yield node.lineno


# ---- what lives where ----


def test_top_level_folders() -> None:
    made = {"build", "dist", "__pycache__"}
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir()
        and not path.name.startswith(".")
        and path.name not in made
        and path.suffix != ".egg-info"
        and not (path / "pyvenv.cfg").exists()
    }
    assert folders == {"convgraph", "passes", "exporters", "tests", "examples"}


def test_packages_in_pyproject_are_the_folders() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = config["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(module_name(path) for path in SOURCES if path.name == "__init__.py")
    with_modules = {path.parent for path in SOURCES}
    assert not [folder for folder in with_modules if not (folder / "__init__.py").exists()]


def test_no_module_for_odds_and_ends() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [path for path in SOURCES if vague & {part.removesuffix(".py") for part in path.parts}]


def test_one_file_holds_one_rewrite() -> None:
    for rewrite in map(type, convgraph.passes.ALL):
        stem = rewrite.__module__.rpartition(".")[2]
        assert rewrite.name == stem.replace("_", "-")
        assert rewrite.__name__ == "".join(word.capitalize() for word in stem.split("_"))
    homes = [type(rewrite).__module__ for rewrite in convgraph.passes.ALL]
    assert len(homes) == len(set(homes)) > 5
    named = {module_name(path) for path in SOURCES if floor(path) == "passes" and rewrites_in(TREES[path])}
    assert named == set(homes), "a rewrite that is not in ALL"


def rewrites_in(tree: ast.Module) -> list[str]:
    """Names of the classes that name themselves as a rewrite does: ``name: ClassVar[str] = "…"``."""
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(line).startswith("name: ClassVar[str] = ") for line in node.body)
    ]


def test_the_face_is_whole() -> None:
    assert sorted(convgraph.__all__) == convgraph.__all__
    for name in convgraph.__all__:
        assert getattr(convgraph, name) is not None
    assert set(convgraph.__all__) <= set(dir(convgraph))
    seen = {
        (node.module, alias.name, alias.asname or alias.name)
        for node in ast.walk(TREES[ROOT / "convgraph" / "__init__.py"])
        if isinstance(node, ast.ImportFrom)
        and node.module not in {"typing", "importlib.metadata", "convgraph.installed"}
        for alias in node.names
    }
    # What a type checker sees and what is imported when used are the same names from the same places.
    lazy = {(home, name, name) for name, home in convgraph._HOME.items()}
    lazy |= {(home.rpartition(".")[0], name, name) for name, home in convgraph._MODULES.items()}
    assert seen == lazy
    with pytest.raises(AttributeError, match="no attribute 'optimise'"):
        convgraph.__getattr__("optimise")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import convgraph", ["onnxruntime", "torch", "onnx", "numpy", "networkx"]),
        ("import convgraph as cg; cg.load, cg.Graph, cg.passes", ["onnxruntime", "torch"]),
        ("from convgraph.cli.main import main; main(['--help'])", ["numpy", "networkx", "onnx", "rich"]),
        ("import convgraph as cg; cg.passes, cg.exporters, cg.optimize", ["passes", "exporters", "torch"]),
    ],
)
def test_what_an_import_leaves_out(code: str, absent: list[str]) -> None:
    after = f"print([name for name in {absent} if name in sys.modules])"
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit: pass\n{after}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# ---- measures of taste ----


def test_functions_are_short() -> None:
    lengths = {where: (node.end_lineno or node.lineno) - node.lineno + 1 for where, node in FUNCTIONS}
    ordered = sorted(lengths.values())
    assert statistics.median(ordered) <= 10
    assert ordered[int(0.9 * len(ordered))] <= 35
    assert not {where: length for where, length in lengths.items() if length > 60}


def test_functions_are_not_deeply_nested() -> None:
    assert not {where: depth for where, node in FUNCTIONS if (depth := nesting(node)) > 3}


def nesting(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many compound statements stand inside each other; an elif is as deep as its if."""
    return max((statement_depth(statement) for statement in function.body), default=0)


def statement_depth(node: ast.AST) -> int:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return 0  # measured on its own
    compound = isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match)
    elifs = node.orelse if isinstance(node, ast.If) and is_elif(node.orelse) else []
    inner = max(
        (statement_depth(child) for child in ast.iter_child_nodes(node) if child not in elifs), default=0
    )
    return max(inner + compound, *(statement_depth(child) for child in elifs), 0)


def is_elif(orelse: list[ast.stmt]) -> bool:
    return len(orelse) == 1 and isinstance(orelse[0], ast.If)


def test_nesting_is_measured_right() -> None:
    code = """
def f(x):
    if x:
        pass
    elif x > 1:
        for y in x:
            with y:
                pass
    else:
        while x:
            pass
"""
    (function,) = ast.parse(code).body
    assert isinstance(function, ast.FunctionDef)
    assert nesting(function) == 3


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_modules_are_short_and_documented(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    tree = TREES[path]
    assert ast.get_docstring(tree), "a module says what it is for"
    public = [
        node
        for scope in [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name[0] != "_")]
        for node in scope.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert not [node.name for node in public if not ast.get_docstring(node)]


def test_everything_is_annotated() -> None:
    bare = [where for where, node in FUNCTIONS if node.returns is None or list(unannotated(node))]
    assert not bare


def unannotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    yield from (a.arg for a in every if a.annotation is None and a.arg not in {"self", "cls"})


def test_no_positional_booleans() -> None:
    flags = [
        where
        for where, node in FUNCTIONS
        for argument in node.args.args
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "bool"
    ]
    # `require(holds, …)` reads as the fact it requires; click passes a flag's value by position.
    assert [where.rpartition(" ")[2] for where in flags] == ["_show_version", "require"]
