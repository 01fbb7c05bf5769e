"""Run small generated functions without Python's own ``exec``: an interpreter of the few constructs that the tasks use.

Nothing outside the interpreted subset is reachable, and a budget of steps bounds time and memory, so a model's
output can be judged safely inside the process.
"""

import ast
import operator
from collections.abc import Callable
from typing import Any

BUDGET = 2_000
"""Statements and expressions evaluated per call."""
_LARGEST = 10**9

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Div: operator.truediv,
}
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "len": len,
    "max": max,
    "min": min,
    "sorted": sorted,
    "sum": sum,
}
_METHODS: dict[str, Callable[..., Any]] = {"lower": str.lower, "upper": str.upper}


class EvaluationError(Exception):
    """The source is no single function of the subset, or calling it fails."""


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


def call(source: str, *arguments: Any) -> Any:
    """Define the one function in ``source`` and call it.

    Args:
        source: Python with exactly one ``def``; what follows an unindented line after it is not allowed either.
        *arguments: positional arguments: numbers, strings, lists of them.

    Returns:
        What the function returns.

    Raises:
        EvaluationError: A syntax error, a construct outside the subset, too many steps, or any error while running.
    """
    try:
        body = ast.parse(source.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise EvaluationError(f"not Python: {error}") from error
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        raise EvaluationError("not exactly one function")
    function = body[0]
    names = [argument.arg for argument in function.args.args]
    if len(names) != len(arguments):
        raise EvaluationError(f"takes {len(names)} arguments, not {len(arguments)}")
    try:
        _Frame(dict(zip(names, arguments, strict=True))).run(function.body)
    except _Return as result:
        return result.value
    except EvaluationError:
        raise
    except Exception as error:
        raise EvaluationError(f"{type(error).__name__}: {error}") from error
    return None


class _Frame:
    """One call: its variables and what is left of its budget."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = variables
        self.budget = BUDGET

    def run(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.spend()
            match statement:
                case ast.Return(value=value):
                    raise _Return(None if value is None else self.value(value))
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.variables[name] = self.value(value)
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                    self.variables[name] = self.binary(op, self.variables[name], self.value(value))
                case ast.If(test=test, body=body, orelse=orelse):
                    self.run(body if self.value(test) else orelse)
                case ast.For(target=ast.Name(id=name), iter=items, body=body, orelse=[]):
                    for item in self.value(items):
                        self.variables[name] = item
                        self.run(body)
                case ast.Expr(value=ast.Constant()):
                    pass
                case _:
                    raise EvaluationError(f"{type(statement).__name__} is not allowed")

    def binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        both_numbers = isinstance(left, int | float) and isinstance(right, int | float)
        joins = isinstance(op, ast.Add) and type(left) is type(right)
        if type(op) not in _BINARY or not (both_numbers or joins):
            raise EvaluationError(f"{type(op).__name__} is not allowed here")
        result = _BINARY[type(op)](left, right)
        if (abs(result) if both_numbers else len(result)) > _LARGEST // (1 if both_numbers else 10**5):
            raise EvaluationError("the result is too large")
        return result

    def spend(self) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise EvaluationError("too many steps")

    def value(self, node: ast.expr) -> Any:
        self.spend()
        match node:
            case ast.Constant(value=int() | float() | str() | bool() | None as constant):
                return constant
            case ast.Name(id=name):
                return self.variables[name]
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(op, self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.value(operand)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                return _COMPARE[type(op)](self.value(left), self.value(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test) else orelse)
            case ast.List(elts=items):
                return [self.value(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return {self.value(k): self.value(v) for k, v in pairs if k is not None}
            case ast.Subscript(value=container, slice=index) if not isinstance(index, ast.Slice):
                return self.value(container)[self.value(index)]
            case ast.ListComp(
                elt=element,
                generators=[ast.comprehension(target=ast.Name(id=name), iter=items, ifs=tests)],
            ):
                return self.comprehension(element, name, items, tests)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return _FUNCTIONS[name](*map(self.value, args))
            case ast.Call(func=ast.Attribute(value=owner, attr=name), args=[], keywords=[]) if name in _METHODS:
                return _METHODS[name](self.value(owner))
        raise EvaluationError(f"{type(node).__name__} is not allowed")

    def comprehension(self, element: ast.expr, name: str, items: ast.expr, tests: list[ast.expr]) -> list[Any]:
        result = []
        for item in self.value(items):
            self.variables[name] = item
            if all(self.value(test) for test in tests):
                result.append(self.value(element))
        return result
