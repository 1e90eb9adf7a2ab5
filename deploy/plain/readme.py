"""The chart's README: a row for each value, out of the comments of values.yaml. `make plain` writes it.

A comment stands behind its key, or in the lines above it.
"""

import re

HEAD = """\
# planasonix-bridge

<!-- Made by `make plain` from values.yaml. -->

{description}

```
helm upgrade --install bridge deploy/chart -n planasonix-bridge --create-namespace --values values.yaml
```

How to install and upgrade, and what to choose: `docs/kubernetes.md` of the repository. Kubernetes {kubernetes}.

| value | default | what |
|---|---|---|
"""
_KEY = re.compile(r"^( *)([A-Za-z][\w.-]*):(?: (.*?))??(?: +# (.*))?$")
_LONGEST = 60


def readme(chart: str, values: str) -> str:
    """Return the README for the texts of Chart.yaml and values.yaml."""
    facts = dict(re.findall(r'(?m)^(\w+): "?(.+?)"?$', chart))
    head = HEAD.format(description=facts["description"], kubernetes=facts["kubeVersion"])
    return head + "".join(f"| `{path}` | {_shown(default)} | {_cell(what)} |\n" for path, default, what in rows(values))


def rows(values: str) -> list[tuple[str, str, str]]:
    """Return path, default and meaning of each value, in the order of the file."""
    found: list[tuple[str, str, str]] = []
    path: list[str] = []
    above: list[str] = []
    lines = values.splitlines()
    deepest = 99  # what lies deeper is text or a list, and no key
    for number, line in enumerate(lines):
        if not line.strip():
            above = []
            continue
        indent = (len(line) - len(line.lstrip())) // 2
        if indent > deepest:
            continue
        if line.lstrip().startswith("#"):
            above.append(line.lstrip("# "))
            continue
        key = _KEY.match(line)
        if key is None:
            continue
        path[indent:] = [key[2]]
        default, what = key[3] or "", " ".join([*above, *filter(None, [key[4]])])
        above = []
        below = next((item for item in lines[number + 1 :] if item.strip() and not item.lstrip().startswith("#")), "")
        is_text = default in {"|", ">"}
        is_list = not default and below.lstrip().startswith("- ")
        deepest = indent if is_text or is_list else 99
        if default or is_list or what:
            found.append((".".join(path), "..." if is_text or is_list else default, what))
    return found


def _shown(default: str) -> str:
    if not default:
        return ""
    return "see values.yaml" if default == "..." or len(default) > _LONGEST else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
