"""Straight-line functions written out where they are called, so that a compiler meets one function instead of thirty.

Numba compiles each function by itself, down to machine code, before it becomes part of another: for thirty lines of
arithmetic that takes longer than for the loop around them.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

_TYPES = ("real", "double", "score", "bits", "score_bits")  # what makes a typed constant of a literal


def inline(text: str, decided: Mapping[str, bool]) -> str:
    """A module's text with its loops alone, and the constants that they need.

    Functions of assignments and one return, at the end, are inlined; they must have been defined before.
    `decided` are names whose value is known: a branch that depends on one is taken or left out.
    """
    module = ast.parse(text)
    inliner, loops, needed = _Inliner(decided, module), [], _needed(module)
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            if node.name not in needed:
                continue
            inliner.write_out(node)
            if _straight(node):
                inliner.functions[node.name] = node
            else:
                while _without_unused(node):
                    pass
                loops.append(node)
        elif isinstance(node, ast.Assign) and ast.unparse(node.value) in inliner.functions:  # another name for one
            inliner.functions[ast.unparse(node.targets[0])] = inliner.functions[ast.unparse(node.value)]
    constants = [f"{name} = {value}" for value, name in inliner.constants.items()]
    return (
        "\n\n\n".join(["\n".join(constants), *(ast.unparse(ast.fix_missing_locations(node)) for node in loops)]) + "\n"
    )


def _needed(module: ast.Module) -> set[str]:
    """The functions that loops call, and those that these call."""
    named: dict[str, set[str]] = {}
    needed, waiting = set(), []
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            named[node.name] = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            if not _straight(node):
                waiting.append(node.name)
        elif isinstance(node, ast.Assign):  # another name for one
            named[ast.unparse(node.targets[0])] = {ast.unparse(node.value)}
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += named[name] & named.keys()
    return needed


def _straight(function: ast.FunctionDef) -> bool:
    *before, last = function.body
    plain = all(isinstance(statement, ast.Assign) for statement in before) and isinstance(last, ast.Return)
    a = function.args
    return plain and not (a.defaults or a.vararg or a.kwarg or a.kwonlyargs or a.posonlyargs)


class _Inliner(ast.NodeTransformer):
    def __init__(self, decided: Mapping[str, bool], module: ast.Module) -> None:
        self.decided = decided
        self.taken = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
        self.taken |= {node.arg for node in ast.walk(module) if isinstance(node, ast.arg)}
        self.functions: dict[str, ast.FunctionDef] = {}
        self.constants: dict[str, str] = {}
        self.before: list[ast.stmt] = []  # what goes before the statement at hand

    def write_out(self, function: ast.FunctionDef) -> None:
        function.body = self._block(function.body)

    def _block(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        block: list[ast.stmt] = []
        for statement in statements:
            if isinstance(statement, ast.If) and (name := ast.unparse(statement.test)) in self.decided:
                block += self._block(statement.body if self.decided[name] else statement.orelse)
                continue
            self.before = []
            for name in ("test", "iter", "value"):
                if isinstance(getattr(statement, name, None), ast.expr):
                    setattr(statement, name, self.visit(getattr(statement, name)))
            assert not (self.before and isinstance(statement, ast.While)), (
                "a condition that is looked at again and again"
            )
            block += self.before
            for name in ("body", "orelse"):
                if hasattr(statement, name):
                    setattr(statement, name, self._block(getattr(statement, name)))
            block += _apart(statement)
        return block

    def visit_Call(self, node):
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if name in _TYPES and isinstance(node.args[0], ast.Constant):
            text = ast.unparse(node)
            if text not in self.constants:
                self.constants[text] = self._new("C")
            return ast.Name(self.constants[text], ast.Load())
        if name not in self.functions:
            return node
        function = self.functions[name]
        names = {}
        stored = _stored(function)
        for parameter, argument in zip(function.args.args, _arguments(node, function), strict=True):
            if isinstance(argument, ast.Name) and parameter.arg not in stored:
                names[parameter.arg] = argument.id
            else:
                names[parameter.arg] = self._new(parameter.arg)
                self.before.append(ast.Assign([ast.Name(names[parameter.arg], ast.Store())], argument))
        for local in sorted(stored - names.keys()):
            names[local] = self._new(local)
        *body, last = (_renamed(statement, names) for statement in function.body)
        self.before += body
        return last.value

    def _new(self, name: str) -> str:
        """A name like this one that the module has not."""
        stem = name.split("__")[0]
        found = next(new for k in itertools.count(1) if (new := f"{stem}__{k}") not in self.taken)
        self.taken.add(found)
        return found


def _renamed(node: Any, names: dict[str, str]) -> Any:
    """A copy, with other names."""
    if isinstance(node, list):
        return [_renamed(element, names) for element in node]
    if isinstance(node, ast.Name):
        return ast.Name(names.get(node.id, node.id), node.ctx)
    if not isinstance(node, ast.AST):
        return node
    return type(node)(*(_renamed(getattr(node, field, None), names) for field in node._fields))


def _arguments(node: ast.Call, function: ast.FunctionDef) -> list[ast.expr]:
    """What is handed over, in the order of the parameters, with `*parameters` as as many elements as are wanted."""
    given, names = node.args, [parameter.arg for parameter in function.args.args]
    if given and isinstance(given[-1], ast.Starred):
        star, given = given[-1].value, given[:-1]
        elements = range(len(names) - len(given))
        given = given + [ast.Subscript(_renamed(star, {}), ast.Constant(k), ast.Load()) for k in elements]
    by_name = {keyword.arg: keyword.value for keyword in node.keywords}
    return given + [by_name[name] for name in names[len(given) :]]


def _apart(statement: ast.stmt) -> list[ast.stmt]:
    """`a, b = c, d` as two statements, so that what nobody needs can go."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Tuple):
        return [statement]
    (target,) = statement.targets
    names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    if names & {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}:
        return [statement]
    assert isinstance(target, ast.Tuple)
    return [ast.Assign([t], value) for t, value in zip(target.elts, statement.value.elts, strict=True)]


def _stored(function: ast.FunctionDef) -> set[str]:
    return {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _without_unused(function: ast.FunctionDef) -> bool:
    """Take out assignments to names that are never read; whether there were any."""
    read = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    read |= {ast.unparse(n.target) for n in ast.walk(function) if isinstance(n, ast.AugAssign)}
    found = False

    def needed(statement: ast.stmt) -> bool:
        nonlocal found
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        unused = isinstance(target, ast.Name) and target.id not in read
        found = found or unused
        return not unused

    for node in ast.walk(function):
        for field in ("body", "orelse"):
            if isinstance(block := getattr(node, field, None), list):
                kept = list(filter(needed, block))
                setattr(node, field, kept if kept or field == "orelse" else [ast.Pass()])
    return found
