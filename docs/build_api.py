"""Write docs/api.md, the reference on one page, from the docstrings.

python docs/build_api.py
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
# The modules that the page shows.
SECTIONS = ("lstm_jax", "lstm_jax.linen", "lstm_jax.nnx", "lstm_jax.convert")
HEAD = """# Reference

Written by `python docs/build_api.py` from the docstrings; a test fails where it is not.
Shapes: `B` batch, `T` time, `D` input features, `H` hidden features.
"""
Definition = ast.FunctionDef | ast.ClassDef


def parse(module: str) -> ast.Module:
    """The syntax tree of a module of the package; nothing is imported."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(module: str) -> Iterator[ast.stmt]:
    """What stands at the top of a module, and below ``if TYPE_CHECKING``."""
    for node in parse(module).body:
        yield from node.body if isinstance(node, ast.If) else [node]


def find(module: str, name: str) -> Definition | None:
    """The definition that a name of a module stands for, if it is one."""
    for node in statements(module):
        if isinstance(node, Definition) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return find(node.module, alias.name)
    return None


def names(module: str) -> Iterator[str]:
    """The public names of a module; of a package, those that it exports."""
    for node in statements(module):
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node.name
        if isinstance(node, ast.ImportFrom):
            yield from (a.name for a in node.names if a.asname == a.name)


def show(node: Definition) -> str:
    """The signature and the docstring."""
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    return f"```python\n{signature(node)}\n```\n\n```text\n{text}\n```\n"


def signature(node: Definition) -> str:
    """The line that defines it, one argument a line where it is long."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"def {node.name}({ast.unparse(node.args)}){returns}"
    if len(line) <= 88:
        return line
    arguments = "".join(f"    {one},\n" for one in split(ast.unparse(node.args)))
    return f"def {node.name}(\n{arguments}){returns}"


def split(arguments: str) -> list[str]:
    """Arguments one by one: cut at the commas that stand outside of brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def methods(node: Definition) -> Iterator[ast.FunctionDef]:
    """The public methods of a class, and how it is called."""
    for inner in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(inner, ast.FunctionDef):
            if inner.name == "__call__" or not inner.name.startswith("_"):
                yield inner


def build() -> str:
    """The page."""
    parts = [HEAD]
    for module in SECTIONS:
        parts.append(f"## {module}\n")
        for name in names(module):
            node = find(module, name)
            if node is not None:
                parts.append(f"### {name}\n\n{show(node)}")
                for method in methods(node):
                    parts.append(f"#### {name}.{method.name}\n\n{show(method)}")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(build(), encoding="utf-8")
