"""Every small change of a source file that a test should notice: one mutant each, made on its syntax tree.

Changed are: comparisons (boundary and direction), `and`/`or`, `not`, arithmetic, numbers (one more), true and false,
texts and bytes (XX put in front), a member of one of our enums (its neighbour), conditions (turned round), what a
function returns (None), calls, raises and additions that stand alone (left out), `break`/`continue`, the cases of a
match and the elements of a collection at the top of a module (left out, one at a time). What is not: annotations,
docstrings, and prose (a text with a blank in it: it is written for people, and no rule hangs on its wording).

A mutant is named by place, change and number, never by line, so that a list of them outlives other changes.
"""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Final

# a node, its field, the place in it if it is a list, what is to stand there (None: nothing), the name around it, and
# the outermost function it is in
_Found = tuple[ast.AST, str, int | None, ast.AST | None, str, ast.AST | None]

COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Mutant:
    """A change of a file, the `number`-th; `first` and `last` are the lines of what is changed, `inside` whether that
    lies in a function's body, so that it does not run at import unless the function does; `head` that function's line.
    """

    name: str
    file: str
    number: int
    first: int
    last: int
    inside: bool
    head: int


def enums_of(folder: Path) -> dict[str, list[str]]:
    """The members of our enums, by the enum's name."""
    classes = [node for path in sorted(folder.glob("*.py")) for node in ast.walk(ast.parse(path.read_text()))
               if isinstance(node, ast.ClassDef)]  # fmt: skip
    return {
        one.name: [line.targets[0].id for line in one.body
                   if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)]
        for one in classes if any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in one.bases)
    }  # fmt: skip


class _Places(ast.NodeVisitor):
    """Finds what may be changed, each with the field it stands in, the name around it and the function it is in."""

    def __init__(self, enums: dict[str, list[str]]) -> None:
        self.enums = enums
        self.found: list[_Found] = []
        self._names: list[str] = []
        self._function: ast.AST | None = None

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, FUNCTIONS):
            self._visit_function(node)
            return
        if isinstance(node, ast.ClassDef):
            self._names.append(node.name)
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "format_spec", "type_params"):
                self._field(node, name, value)
        if isinstance(node, ast.ClassDef):
            self._names.pop()

    def _visit_function(self, node: Any) -> None:
        # decorators and default values run where the function is made, its body when it is called
        for name in () if isinstance(node, ast.Lambda) else ("decorator_list",):
            self._field(node, name, getattr(node, name))
        named = [] if isinstance(node, ast.Lambda) else [node.name]
        self._names += named
        for name in ("defaults", "kw_defaults"):
            self._field(node.args, name, getattr(node.args, name))
        outer, self._function = self._function, self._function or node
        self._field(node, "body", node.body)
        self._function = outer
        del self._names[len(self._names) - len(named) :]

    def _field(self, node: ast.AST, name: str, value: Any) -> None:
        for place, one in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(one, ast.AST):
                for instead in _instead(node, name, place, one, self):
                    self.found.append((node, name, place, instead, ".".join(self._names) or "module", self._function))
                if not _is_docstring(one):
                    self.visit(one)

    @property
    def at_top(self) -> bool:
        """Whether this runs once, when the module is imported."""
        return self._function is None


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _instead(node: ast.AST, name: str, place: int | None, one: Any, places: _Places) -> Iterator[ast.AST | None]:
    """What may stand there instead of `one`, which is in the field `name` of `node`."""
    yield from _operations(one, places)
    yield from _words(one, places)
    if name in ("test", "ifs", "guard") and not isinstance(one, ast.Compare | ast.Constant):
        yield ast.UnaryOp(ast.Not(), one)
    collection = isinstance(node, ast.Tuple | ast.Set | ast.List) and name == "elts" and len(node.elts) > 1
    if name == "cases" or (collection and places.at_top and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)):
        yield None


def _operations(one: Any, places: _Places) -> Iterator[ast.AST]:
    match one:
        case ast.Compare():
            for number, op in enumerate(one.ops):
                for other in COMPARISONS[type(op)]:
                    changed = copy.copy(one)
                    changed.ops = [*one.ops[:number], other(), *one.ops[number + 1 :]]
                    yield changed
        case ast.BoolOp():
            yield ast.BoolOp(ast.And() if isinstance(one.op, ast.Or) else ast.Or(), one.values)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield one.operand
        case ast.BinOp() if type(one.op) in ARITHMETIC and not (places.at_top and _is_union(one)):
            yield ast.BinOp(one.left, ARITHMETIC[type(one.op)](), one.right)


def _words(one: Any, places: _Places) -> Iterator[ast.AST]:
    match one:
        case ast.Constant():
            yield from _constants(one)
        case ast.Attribute(value=ast.Name(id=enum)) if one.attr in places.enums.get(enum, ()):
            members = places.enums[enum]
            yield ast.Attribute(one.value, members[(members.index(one.attr) + 1) % len(members)], one.ctx)
        case ast.Return(value=ast.AST() as value) if not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign():
            yield ast.Pass()


def _is_union(node: ast.AST) -> bool:
    # of types, written for the type checker
    if isinstance(node, ast.BinOp):
        return _is_union(node.left) and _is_union(node.right)
    return _is_none(node) or (isinstance(node, ast.Name) and node.id[:1].isupper() and not node.id.isupper())


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _constants(one: ast.Constant) -> Iterator[ast.AST]:
    match one.value:
        case bool():
            yield ast.Constant(not one.value)
        case int() | float():
            yield ast.Constant(one.value + 1)
        case str() if " " not in one.value:
            yield ast.Constant("XX" + one.value)
        case bytes():
            yield ast.Constant(b"XX" + one.value)


def _text(node: ast.AST | None) -> str:
    return "nothing" if node is None else " ".join(ast.unparse(ast.fix_missing_locations(node)).split())[:100]


def _found_in(path: Path, enums: dict[str, list[str]]) -> tuple[ast.Module, list[_Found]]:
    tree, places = ast.parse(path.read_text()), _Places(enums)
    places.visit(tree)
    return tree, places.found


def mutants_of(path: Path, enums: dict[str, list[str]]) -> list[Mutant]:
    """Every mutant of a file, in the order of its text."""
    seen, made = Counter[str](), list[Mutant]()
    for number, (parent, name, place, instead, where, function) in enumerate(_found_in(path, enums)[1]):
        whole = getattr(parent, name)
        old: Any = whole if place is None else whole[place]
        title = f"{path.name} {where}: {_text(old)} -> {_text(instead)}"
        seen[title] += 1
        title += f" #{seen[title]}" if seen[title] > 1 else ""
        standing = (old.pattern if isinstance(old, ast.match_case) else old, parent, function)
        anchor: Any = next(node for node in standing if hasattr(node, "lineno"))
        head = getattr(function, "lineno", 0)
        made.append(Mutant(title, path.name, number, anchor.lineno, anchor.end_lineno, function is not None, head))
    return made


def code_of(path: Path, enums: dict[str, list[str]], number: int) -> CodeType:
    """The file compiled with its `number`-th change made."""
    tree, found = _found_in(path, enums)
    parent, name, place, instead, _, _ = found[number]
    whole = getattr(parent, name)
    if instead is not None:
        ast.copy_location(instead, whole if place is None else whole[place])
    if place is None:
        setattr(parent, name, instead)
    else:
        setattr(parent, name, [*whole[:place], *([] if instead is None else [instead]), *whole[place + 1 :]])
    return compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True)
