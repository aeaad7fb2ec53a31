"""Who may import whom, read from the source alone; nothing is imported here."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "lstm_jax"
SOURCES = sorted((ROOT / PACKAGE).rglob("*.py"))
PROGRAMS = [ROOT / "train.py", *sorted((ROOT / "configs").glob("*.py"))]

# Parts of the package, and what each may import of the others.
BASE = {"arrays", "cache", "checks", "drafts", "errors", "paths", "platforms"}
BASE |= {"quiet", "version"}
CORE = {"cells", "kernels", "shapes", "spread", "unroll", "layers", "min_lstm"}
MODELS = BASE | CORE | {"models", "data"}
TRAINING = MODELS | {"measures", "one_behind", "training"}
ASK = BASE | {"data", "measures", "one_behind", "loaded"}
MAY_IMPORT = {
    "__init__": BASE | CORE | {"inference", "ensemble"},
    "version": set(),
    "errors": set(),
    "checks": {"errors"},
    "arrays": {"errors"},
    "paths": {"errors"},
    "platforms": {"errors"},
    "quiet": set(),
    "shorten": set(),
    "cache": {"arrays", "errors", "paths"},
    "drafts": {"errors"},
    "output": set(),
    "host": set(),
    "cells": {"cells", "spread"},
    "kernels": {"kernels", "cells"},
    "shapes": {"cells"},
    "spread": set(),
    "unroll": {"kernels", "cells", "shapes", "spread"},
    "layers": {"unroll", "cells", "shapes", "spread"},
    "min_lstm": {"layers", "unroll", "kernels", "cells", "shapes", "spread"},
    "linen": CORE,
    "nnx": CORE,
    "convert": set(),
    "data": BASE | {"data"},
    "models": MODELS,
    "training": TRAINING,
    "measures": set(),
    "one_behind": set(),
    "evaluation": {"measures"},
    # What uses a trained model knows nothing of training; but for the two that load
    # it from a run's folder.
    "explanations": {"arrays", "drafts", "errors", "measures"},
    "loaded": {"data"},
    "programs": MODELS | {"loaded"},
    "exported": BASE | {"data", "loaded"},
    "trained": TRAINING | {"loaded", "programs"},
    "generation": TRAINING,
    "inference": ASK | {"exported", "trained"},
    "ensemble": {"measures", "errors", "inference"},
    "explain": ASK | {"inference", "explanations"},
    "serve": ASK | {"inference", "explain", "explanations", "serve"},
    "export": MODELS | {"loaded", "programs", "exported", "trained"},
    "export_onnx": MODELS | {"programs", "trained"},
    "explain_run": TRAINING | {"inference", "explain", "explanations"},
    "plots": TRAINING | {"explanations", "plots", "shorten"},
    "report": TRAINING | {"loaded", "explain_run", "explanations", "plots", "report"},
    "__main__": {"cli"},
    "cli": TRAINING
    | {
        "host",
        "output",
        "inference",
        "ensemble",
        "trained",
        "export",
        "evaluation",
        "export_onnx",
        "shorten",
    }
    | {"explain", "explanations", "evaluation", "generation", "report", "serve", "cli"},
}
CORE_NEVER = {"flax", "optax", "orbax", "tensorflow_datasets", "tokenizers"}
ONLY_IN_TRAIN = f"{PACKAGE}.training.loop"


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path):
    """Every module that a file imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: expected absolute imports"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def part_of(module):
    """``cells`` for ``lstm_jax.cells.base``."""
    return module.split(".")[1] if "." in module else "__init__"


def inside(module):
    return module.split(".")[0] == PACKAGE


def test_every_part_of_the_package_has_a_place_in_the_order():
    assert {part_of(module) for module in MODULES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    imported = {part_of(other) for other in IMPORTS[module] if inside(other)}
    assert imported <= MAY_IMPORT[part_of(module)]


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m) in CORE])
def test_the_core_imports_jax_and_nothing_heavier(module):
    roots = {other.split(".")[0] for other in IMPORTS[module]}
    assert not roots & CORE_NEVER


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m) == "cells"])
def test_a_cell_imports_only_jax_and_numpy(module):
    roots = {other.split(".")[0] for other in IMPORTS[module]}
    assert roots <= {
        "jax",
        "numpy",
        PACKAGE,
        "collections",
        "typing",
        "functools",
        "operator",
        "math",
    }


def test_only_the_program_imports_the_loop():
    importers = {name for name, found in IMPORTS.items() if ONLY_IN_TRAIN in found}
    assert importers == set()
    assert ONLY_IN_TRAIN in imports(ROOT / "train.py")


def test_no_module_imports_itself_in_a_circle():
    def walk(module, above):
        assert module not in above, " -> ".join([*above, module])
        if module in done:
            return
        for other in sorted(IMPORTS[module] & set(MODULES)):
            walk(other, [*above, module])
        done.add(module)

    done: set[str] = set()
    for module in MODULES:
        walk(module, [])


def test_nothing_imports_tensorflow():
    for path in [*SOURCES, *PROGRAMS, *sorted((ROOT / "tests").rglob("*.py"))]:
        roots = {name.split(".")[0] for name in imports(path)}
        assert "tensorflow" not in roots, path


def functions(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(parse(path)) if isinstance(node, kinds)]


def num_lines(function):
    """Lines of a function, its docstring left out."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


@pytest.mark.parametrize("path", [*SOURCES, *PROGRAMS], ids=module_name)
def test_no_function_is_longer_than_a_screen(path):
    long = {f.name: num_lines(f) for f in functions(path) if num_lines(f) > 60}
    assert not long


def test_no_module_is_a_box_for_everything():
    names = {path.stem for path in SOURCES}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


def public_definitions(tree):
    """Functions and classes of a module, and the methods of its classes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


@pytest.mark.parametrize("path", [*SOURCES, *PROGRAMS], ids=module_name)
def test_everything_public_says_what_it_is(path):
    tree = parse(path)
    silent = [n.name for n in public_definitions(tree) if not ast.get_docstring(n)]
    assert ast.get_docstring(tree), "the module"
    assert not silent
