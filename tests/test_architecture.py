"""The house as `stance`'s docstring draws it: rings, what each may import, and limits that no file passes."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import stance

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "stance"
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}
FILES = [PACKAGE / "__init__.py", *MODULES.values(), *SCRIPTS]
MLFLOW, HYDRA = {"tracking", "tracking.runs", "tracking.stores", "tracking.registry", "pyfunc"}, {"config"}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# Packages that can't be imported without one that a later ring uses by itself.
BROUGHT = {
    "spacy": {"tqdm", "requests", "charset_normalizer"},
    "datasketch": {"scipy"},
    "datasets": {"pandas", "filelock"},
}
LONGEST_FUNCTION, LONGEST_MODULE = 40, 300
IMPORT = """
import importlib.util, sys
blocked, find_spec = set(sys.argv[1].split()), importlib.util.find_spec

class Missing:  # as if they were not installed, for `import` and for `find_spec`, and not in `sys.modules` either
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

importlib.util.find_spec = lambda name, package=None: (
    None if name.partition(".")[0] in blocked else find_spec(name, package)
)
sys.meta_path.insert(0, Missing())
for name in sys.argv[2].split():
    __import__(name)
"""


@dataclass(frozen=True)
class Ring:
    """A line of the docstring: its modules and packages, in order, and the third-party packages that it adds."""

    name: str
    modules: tuple[str, ...]
    packages: frozenset[str]


def rings() -> list[Ring]:
    found = re.findall(r"^\* (\w+) ([`\w\s]+)\(\+?([^)]+)\)", stance.__doc__ or "", re.MULTILINE)
    return [Ring(name, tuple(re.findall(r"`(\w+)`", modules)), frozenset(re.findall(r"\w+", packages)))
            for name, modules, packages in found]  # fmt: skip


RINGS = rings()
ORDER = [module for ring in RINGS for module in ring.modules]


def packages_of(some: list[Ring]) -> set[str]:
    return {package for ring in some for package in ring.packages}


def ring_of(module: str) -> int:
    return next(number for number, ring in enumerate(RINGS) if module.partition(".")[0] in ring.modules)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported name in full, those inside functions too: `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names)


def inner_imports(tree: ast.AST) -> set[str]:
    """The first names of the stance modules that a file imports."""
    known = {module.partition(".")[0] for module in MODULES}
    parts = (name.split(".") for name in imports(tree))
    return {part[1] for part in parts if part[0] == "stance" and part[1:2] and part[1] in known}


def packages(tree: ast.AST) -> set[str]:
    """The third-party packages that a file imports."""
    return {name.partition(".")[0] for name in imports(tree)} - sys.stdlib_module_names - {"stance"}


def dangers(tree: ast.AST) -> Iterator[str]:
    """What can run code that came as data."""
    yield from (name for name in imports(tree) if name.partition(".")[0] in PICKLES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("eval", "exec", "torch.load", "yaml.load", "os.system"):
                yield called
            for keyword in node.keywords:
                if keyword.arg in ("trust_remote_code", "allow_pickle") and ast.unparse(keyword.value) != "False":
                    yield f"{keyword.arg}={ast.unparse(keyword.value)}"
        elif isinstance(node, ast.Dict):
            yield from ("trust_remote_code" for key in node.keys if key and ast.unparse(key) == "'trust_remote_code'")


def long_functions(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f"{node.name}: {lines} lines"


def test_every_module_stands_in_exactly_one_ring() -> None:
    drawn = sorted(module for ring in RINGS for module in ring.modules)
    assert drawn == sorted({module.partition(".")[0] for module in MODULES})
    assert [ring.name for ring in RINGS] == ["serving", "reading", "building", "training", "rim"]


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_module_imports_only_from_its_own_package_and_what_stands_before_it(module: str) -> None:
    before = ORDER[: ORDER.index(module.partition(".")[0]) + 1]
    assert inner_imports(parse(MODULES[module])) - set(before) == set()


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_packages_of_its_own_ring_and_those_above(module: str) -> None:
    assert packages(parse(MODULES[module])) - packages_of(RINGS[: ring_of(module) + 1]) == set()


@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: ring.name)
def test_ring_uses_every_package_that_it_is_said_to_add(ring: Ring) -> None:
    used = {package for name, path in MODULES.items() if name.partition(".")[0] in ring.modules
            for package in packages(parse(path))}  # fmt: skip
    assert ring.packages <= used


@pytest.mark.parametrize("number", range(len(RINGS) - 1), ids=lambda number: RINGS[number].name)
def test_ring_can_be_imported_without_what_later_rings_need(number: int) -> None:
    installed, later = packages_of(RINGS[: number + 1]), packages_of(RINGS[number + 1 :])
    blocked = later.difference(*(BROUGHT.get(package, set()) for package in installed))
    modules = [f"stance.{name}" for name in MODULES if ring_of(name) == number]
    command = [sys.executable, "-c", IMPORT, " ".join(sorted(blocked)), " ".join(modules)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")


def test_importing_the_package_loads_no_module_of_it() -> None:
    code = "import sys, stance; print([name for name in sys.modules if name.startswith('stance.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
def test_a_training_does_not_wait_for_the_parser() -> None:
    code = "import sys, stance.training.finetuning; print('spacy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(("package", "modules"), [("mlflow", MLFLOW), ("hydra", HYDRA)])
def test_mlflow_and_hydra_are_imported_by_their_own_modules_alone(package: str, modules: set[str]) -> None:
    assert {name for name, path in MODULES.items() if package in packages(parse(path))} == modules
    assert [path.name for path in SCRIPTS if package in packages(parse(path))] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_runs_code_that_came_as_data(path: Path) -> None:
    assert list(dangers(parse(path))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_and_no_module_is_too_long(path: Path) -> None:
    assert list(long_functions(parse(path))) == []
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(parse(path))


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    import pickle",
        "from joblib import load",
        "eval('1')",
        "exec(text)",
        "torch.load(path)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=config.trust)",
        "AutoModel.from_pretrained(name, **{'trust_remote_code': True})",
    ],
)
def test_code_that_came_as_data_is_recognised(code: str) -> None:
    assert len(list(dangers(ast.parse(code)))) == 1


def test_function_of_41_lines_is_too_long() -> None:
    lines = ["def f():", *["    x = 1"] * 39]
    assert list(long_functions(ast.parse("\n".join(lines)))) == []
    assert list(long_functions(ast.parse("\n".join([*lines, "    x = 1"])))) == ["f: 41 lines"]
