"""values.yaml explains itself, and its schema lets nothing else in."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.chart.support import CHART, VALUES

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TEXT = (CHART / "values.yaml").read_text()
# Objects of Kubernetes, of which the schema knows every key and the chart sets some.
OF_KUBERNETES = {".podSecurityContext", ".securityContext"}
WITHOUT_DEFAULT = {"global", "ephemeral-storage"}  # Helm's own; a limit that some clusters ask for


def closed(schema: dict[str, Any], value: Any, path: str = "") -> Iterator[str]:
    """Yield every place where values and schema do not name the same keys."""
    if "properties" not in schema or not isinstance(value, dict):
        return
    if schema.get("additionalProperties") is not False:
        yield f"{path}: lets unknown keys in"
    for key in schema["properties"].keys() ^ value.keys():
        if key not in WITHOUT_DEFAULT and (path not in OF_KUBERNETES or key in value):
            yield f"{path}.{key}: in one of them only"
    for key in schema["properties"].keys() & value.keys():
        yield from closed(schema["properties"][key], value[key], f"{path}.{key}")


def test_the_schema_knows_every_value_and_no_other() -> None:
    """Every key of values.yaml has a schema and every key of the schema a default; nothing unknown passes."""
    assert list(closed(SCHEMA, VALUES)) == []


def test_every_line_is_explained() -> None:
    """Each value has a comment on its line, on the one above it, or above the block it begins."""
    unexplained, is_text, before = [], False, ""
    for line in TEXT.splitlines():
        if is_text and (not line or line.startswith("    ")):
            continue
        is_text = line.rstrip().endswith("|")
        is_value = re.match(r"\s*[A-Za-z]+: ?[^#]*[^#\s]", line) and not line.rstrip().endswith(":")
        if is_value and "#" not in line and not before.lstrip().startswith("#"):
            unexplained.append(line)
        before = line
    # `to` and `ports` stand below a line that explains the rule.
    assert [line for line in unexplained if line.strip() != "to:"] == []
