"""Bodies that nobody received: what planning has to know of them, for `test` and `diff`.

Ids and instants are always the same, so that what is printed of a plan is the same each time.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.words.errors import ConfigError, Problem

if TYPE_CHECKING:
    from bridge.edges.settings import Config
    from bridge.rules.expecting import Case, Suite
    from bridge.rules.planning import Subject

DELIVERY_ID = "dlv_0000000000000000"
TRIGGER_ID = "trg_0000000000000000"
_RECEIVED_AT = "2025-03-27T14:26:21.000Z"
_UNNAMED = "planasonix"  # the source, where no bridge.yaml names any


def of_file(path: Path, config: "Config | None", source: str | None) -> "Subject":
    """Return the body in a file; raises ConfigError."""
    from bridge.cli import context

    name = source or _UNNAMED
    if config is not None:
        name = context.source(config, source).name
    try:
        return _imagined(path.read_bytes(), config, name)
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from None


def of_case(case: "Case", config: "Config | None") -> "Subject":
    """Return the body of a test."""
    form = case.form
    names = [_UNNAMED] if config is None else list(config.sources)
    return _imagined(
        case.body,
        config,
        form.source or names[0],
        received_at=form.received_at,
        url_pipeline=form.url_pipeline,
        job=form.job,
    )


def _imagined(
    body: bytes,
    config: "Config | None",
    source: str,
    *,
    received_at: str = _RECEIVED_AT,
    url_pipeline: str | None = None,
    job: dict[str, Any] | None = None,
) -> "Subject":
    from bridge.rules.event import USUAL
    from bridge.rules.planning import Subject

    found = None if config is None else config.sources[source]
    kept = body if found is None else found.kept(body)
    spelling = USUAL if found is None else found.spelling
    return Subject(DELIVERY_ID, source, received_at, kept, url_pipeline, job, spelling)


def read_suite(file: Path, config: "Config | None") -> "Suite":
    """Read a file of tests, whose sources must be those of bridge.yaml; raises ConfigError."""
    from bridge.cli import context
    from bridge.rules import expecting
    from bridge.rules.yamltree import nearest

    suite = expecting.read(
        context.file_text(file), file=str(file), open_beside=lambda name: (file.parent / name).read_bytes()
    )
    known = [] if config is None else list(config.sources)
    problems = []
    for case in suite.cases:
        source = case.form.source
        if source is None and len(known) > 1:
            problems.append(case.problem((), f"say which `source`; there is {', '.join(known)}"))
        elif source is not None and known and source not in known:
            hint = nearest(source, known) or f"; there is {', '.join(known)}"
            problems.append(case.problem(("source",), f'no source "{source}"{hint}'))
    if problems:
        raise ConfigError(problems)
    return suite
