"""Puts the values of a tree into a pydantic model, and pydantic's complaints into the words of the file."""

import re
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bridge.rules.yamltree.tree import Path, Tree, config_error, nearest
from bridge.words.errors import ConfigError, Problem

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], tree: Tree, *, context: Any = None) -> M:
    """Return the model of a tree's values; raises ConfigError with every complaint at its place.

    `context` is what the model's own validators are given.
    """
    if tree.value is None:
        raise ConfigError([tree.problem((), "is empty")])
    try:
        return model.model_validate(tree.value, context=context)
    except ValidationError as error:
        problems = [_explain(model, tree, detail) for detail in error.errors()]
        raise config_error(problems) from None


def _explain(model: type[BaseModel], tree: Tree, detail: ErrorDetails) -> Problem:
    """Put one of pydantic's complaints into words, at its place."""
    path = _real_path(detail["loc"], tree.value)
    last = detail["loc"][-1] if detail["loc"] else None
    if last is None and isinstance(tree.value, list):
        return tree.problem(path, f"the file is a list; put `{_list_key(model)}:` before it and indent it")
    if isinstance(last, int):
        last = path[-1] if path else None  # one text was written, where a list of them may stand
    name = f"item {last + 1}" if isinstance(last, int) else last or "file"
    return tree.problem(path, _said(model, tree.spelled.get(path), name, detail))


def _list_key(model: type[BaseModel]) -> str:
    """Return the key whose value is a list, which people forget when there is nothing else in the file."""
    return next((key for key, annotation in _keys(model).items() if get_origin(annotation) is list), "a key")


def _said(model: type[BaseModel], spelled: str | None, name: str, detail: ErrorDetails) -> str:
    """Return a complaint without its place; `spelled`: what stands there in the file, if it is no text."""
    given = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return f'unknown key "{name}"{_hint(model, detail["loc"], name)}'
        case "missing":
            return f'the key "{name}" is missing'
        case "literal_error" | "enum":
            words = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
            hint = nearest(str(given), words) or f"; it can be {', '.join(words)}"
            return f'"{str(given)[:60]}" is not valid here{hint}'
        case "too_short" | "string_too_short" if not given:
            return f'"{name}" is empty'
        case "needs_quotes":
            return f'{detail["msg"]}; put it in quotes: "{spelled or given}"'
    return _worded(name, detail, spelled)


_MUST_BE = {
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must hold keys with values",
    "model_type": "must hold keys with values",
    "model_attributes_type": "must hold keys with values",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
}


def _worded(name: str, detail: ErrorDetails, spelled: str | None) -> str:
    """Return one of pydantic's other complaints in the words of the file."""
    if detail["type"] == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    must_be = _MUST_BE.get(detail["type"])
    if detail["type"] == "string_type" and isinstance(given, bool | int | float):
        return f'"{name}" {must_be}; put it in quotes: "{spelled or str(given).lower()}"'
    if must_be is not None:
        return f'"{name}" {must_be}'
    message = detail["msg"].replace("Input should be a valid", "must be a").replace("Input should be", "must be")
    message = message.replace("String should have", "must have")
    return f'"{name}" {message[:1].lower()}{message[1:]}'


def _real_path(loc: tuple[str | int, ...], value: Any) -> Path:
    """Return the part of pydantic's location that names places of the file (it also names union branches)."""
    path: list[str | int] = []
    for step in loc:
        is_key = isinstance(value, dict) and step in value
        is_item = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if is_key or is_item:
            value = value[step]
            path.append(step)
    return tuple(path)


def _hint(model: type[BaseModel], loc: tuple[str | int, ...], name: str) -> str:
    """Return what an unknown key could have been: what the model says is meant by it, the nearest one, or all."""
    owner = _owner(model, loc)
    if owner is None:
        return ""
    meant = getattr(owner, "MEANT", {}).get(name)
    if meant is not None:
        return f', did you mean "{meant}"?'
    words = list(_keys(owner))
    return nearest(name, words) or f"; there is {', '.join(words)}"


def _owner(model: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """Return the model that lacks an unknown key, by walking the models along its location."""
    current: type[BaseModel] | None = model
    for step in loc[:-1]:
        if isinstance(step, str) and current is not None and step in _keys(current):
            current = _model_in(_keys(current)[step])
    return current


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first model inside an annotation like `list[Route]` or `dict[str, Source] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if (found := _model_in(part)) is not None:
            return found
    return None
