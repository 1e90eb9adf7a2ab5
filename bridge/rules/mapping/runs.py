"""DAG run ids and conf in the form that Airflow takes.

Airflow's rules (found by running 2.11 to 3.3): `[A-Za-z0-9_.~:+-]`, no `..`, no prefix of its own run types, at most
250 characters; a NUL or an unpaired surrogate in conf is refused by PostgreSQL only, so it never leaves here.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

from bridge.words.errors import TemplateError

MAX_RUN_ID = 200  # 250 is Airflow's limit; the rest is for `__rN` and for other databases' counting
_illegal = re.compile(r"[^A-Za-z0-9_.~:+-]+")
_dots = re.compile(r"\.{2,}")
_RESERVED = ("scheduled__", "asset_triggered__", "backfill__", "asset_materialization__", "operator_triggered__")
_unsafe = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def run_id(wanted: str) -> str:
    """Return `wanted` as a legal DAG run id; what had to be changed or cut ends in a digest."""
    legal = _dots.sub(".", _illegal.sub("-", wanted.strip()))
    if legal.startswith(_RESERVED):
        legal = f"planasonix__{legal}"
    if legal != wanted or len(legal) > MAX_RUN_ID or not legal:
        digest = hashlib.sha256(wanted.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        legal = f"{legal[: MAX_RUN_ID - 14]}--{digest}"
    return legal


def rerun_id(run_id: str, *, rerun_of: int, rerun: int) -> str:
    """Return the DAG run id of a call's "run again" number `rerun`.

    `rerun_of` is the number that `run_id` itself ends in, 0 for a first run.
    """
    first = run_id.removesuffix(f"__r{rerun_of}") if rerun_of else run_id
    return f"{first}__r{rerun}"


def _clean_text(text: str) -> str:
    if text.isascii() and "\0" not in text:  # nearly all are: a third of what the search costs
        return text
    return _unsafe.sub(_REPLACEMENT, text)


def clean(value: Any) -> Any:
    """Return a JSON value without the two kinds of character that no database under Airflow can keep.

    They are replaced by U+FFFD and not dropped, so that a person sees that something stood there. Raises
    TemplateError for a number that JSON has not: Airflow would store null, and nobody would notice.
    """
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise TemplateError("conf: holds a number that is infinite or none at all")
    if isinstance(value, Mapping):
        return {_clean_text(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value
