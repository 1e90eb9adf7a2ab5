"""Prints careless edits of modules, one JSON object a line. Runs in .venv-mutants and alone imports cosmic-ray.

    edits.py SEED MODULE...      in a random order that the seed fixes

Of cosmic-ray's operators only those are used whose edits people make and tests can see: a bound that is one off, a
condition turned round, a loop not entered. SQL is text to it, so clauses are left out of statements here.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

_OPERATORS = re.compile(
    "core/(NumberReplacer|AddNot|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceTrueWithFalse|ReplaceFalseWithTrue"
    "|ReplaceBreakWithContinue|ReplaceContinueWithBreak|ZeroIterationForLoop|ReplaceUnaryOperator_Delete_Not"
    "|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Mul|Mod_Add)"
    "|ReplaceComparisonOperator_(Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is|In_NotIn|NotIn_In))"
)
_NO_BEHAVIOUR = ("@dataclass(",)  # whether it has slots or is frozen, mypy and reviews see
_SQL = {
    "sql/LeaveOutCondition": re.compile(r' AND [^"()]+?(?= AND | OR | ORDER | LIMIT | RETURNING |"|\))'),
    "sql/LeaveOutColumn": re.compile(r', \w+ = [^,"()]+?(?=,| WHERE |")'),
    "sql/LeaveOutOrder": re.compile(r' ORDER BY [^"()]+?(?= LIMIT | FOR |"|\))'),
}


def _cosmic(source: str) -> Iterator[tuple[str, str]]:
    for name in sorted(operator_names()):
        if not _OPERATORS.fullmatch(name):
            continue
        occurrence = 0
        while (edited := mutate_code(source, get_operator(name)(), occurrence)) is not None:
            yield name, edited
            occurrence += 1


def _sql(source: str) -> Iterator[tuple[str, str]]:
    for name, pattern in _SQL.items():
        for found in pattern.finditer(source):
            yield name, source[: found.start()] + source[found.end() :]


def _is_code(source: str) -> bool:
    try:
        compile(source, "edited", "exec")
    except SyntaxError:
        return False
    return True


def edits(module: Path) -> Iterator[dict[str, str | int]]:
    """Return each edit of a module that still compiles: its name, line, the line before and after, and the whole."""
    source = module.read_text("utf-8")
    for name, edited in (*_cosmic(source), *_sql(source)):
        pairs = zip(source.split("\n"), edited.split("\n"), strict=False)
        line, (before, after) = next(
            ((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1]), (0, ("", ""))
        )
        if line and not before.startswith(_NO_BEHAVIOUR) and _is_code(edited):
            yield {
                "module": str(module),
                "edit": name,
                "line": line,
                "before": before.strip(),
                "after": after.strip(),
                "source": edited,
            }


if __name__ == "__main__":
    found = [edit for module in sys.argv[2:] for edit in edits(Path(module))]
    random.Random(int(sys.argv[1])).shuffle(found)
    for edit in found:
        print(json.dumps(edit))
