"""Which tests concern a module: what edits of it are tried against, and what a change of it is tried with first."""

from pathlib import Path

_OWN_TESTS = (
    "asked",
    "auditing",
    "browsing",
    "chains",
    "dags",
    "deadlines",
    "erasing",
    "exporting",
    "grouping",
    "history",
    "pruning",
    "received",
    "refusals",
    "relocating",
    "turns",
    "vault",
)
_PARTS = ("choosing", "compiling", "doubts", "files", "globs", "routes", "runs", "schema")  # of the mapping
_MAPPING = (
    *(f"tests/rules/mapping/test_{part}.py" for part in _PARTS),
    "tests/rules/mapping",
    "tests/rules/test_planning.py",
    "tests/rules/test_conforming.py",
)
_TEMPLATES = (
    "tests/rules/test_rendering.py",
    "tests/rules/test_rendering_bounds.py",
    "tests/rules/test_rendering_filters.py",
)
_PLANS = "engine/test_plans.py"  # which index a statement is read by
_BESIDE = {  # the tests of statements, by module, below tests/edges/inbox or from the top
    "filtering": ("test_filtering.py", "test_browsing.py", "test_grouping.py", "test_walking.py", _PLANS),
    "finding": ("test_finding.py", _PLANS),
    "orders": ("test_orders.py", "tests/flows/test_ordering.py"),
    "pauses": ("test_pauses.py", _PLANS),
    "pausing": ("test_pauses.py",),
    "runs": ("test_runs.py", _PLANS),
    "walking": ("test_walking.py", _PLANS),
    "answers": ("test_answers.py", "tests/flows/test_routing.py"),
    "endings": ("test_endings.py", "tests/flows/test_telling.py"),
    "notices": ("test_notices.py", "tests/flows/test_notifying.py"),
    "reconciling": ("test_reconciling.py", "test_erasing.py", "tests/flows/test_reconciling.py"),
    "shapes": ("test_shapes.py", "tests/chores/test_shapes.py"),
    "silences": ("test_silences.py", "tests/chores/test_silences.py"),
    "tailing": ("test_tailing.py", "tests/flows/test_tailing.py"),
    "unsettled": ("test_unsettled.py", "tests/flows/test_explaining.py"),
    "waits": ("test_waits.py", "tests/flows/test_waking.py"),
}
# The tests that concern a module; the first pattern that fits counts.
TESTS: dict[str, tuple[str, ...]] = {
    "bridge/rules/event/*.py": ("tests/rules/event", "tests/rules/test_strict_json.py"),
    "bridge/rules/mapping/*.py": _MAPPING,
    "bridge/rules/rendering/doubting.py": ("tests/rules/rendering/test_doubting.py",),
    **{
        f"bridge/rules/rendering/{stem}.py": (f"tests/rules/rendering/test_{stem}.py", *_TEMPLATES)
        for stem in ("sandbox", "wording", "checking", "moments")
    },
    "bridge/rules/rendering/*.py": _TEMPLATES,
    "bridge/rules/samples.py": ("tests/rules/test_samples.py", "tests/rules/event/test_bodies.py"),
    "bridge/rules/retrying/*.py": ("tests/rules/retrying",),
    "bridge/rules/comparing/*.py": ("tests/rules/test_comparing.py",),
    "bridge/rules/expecting/*.py": ("tests/rules/test_expecting.py",),
    "bridge/rules/signature/*.py": ("tests/rules/signature/test_{stem}.py", "tests/rules/signature"),
    "bridge/rules/yamltree/*.py": (
        "tests/rules/test_yamltree.py",
        "tests/rules/test_yamltree_messages.py",
        "tests/rules/mapping/test_files.py",
    ),
    "bridge/rules/troubles.py": (
        "tests/rules/test_attention.py",
        "tests/rules/test_troubles.py",
        "tests/flows/test_attending.py",
        "tests/chores/test_silences.py",
    ),
    "bridge/rules/notifying/*.py": ("tests/rules/test_notifying.py", "tests/rules/test_wording.py"),
    "bridge/rules/sources.py": ("tests/rules/event",),
    "bridge/rules/records.py": ("tests/web/test_refusals.py", "tests/cli/test_audit.py"),
    "bridge/rules/counts.py": ("tests/edges/inbox/test_history.py",),
    "bridge/rules/notes.py": ("tests/rules/test_attention.py",),
    "bridge/rules/hops.py": ("tests/rules/test_hops.py", "tests/edges/inbox/test_chains.py"),
    "bridge/rules/causes.py": (
        "tests/rules/test_causes.py",
        "tests/edges/inbox/test_grouping.py",
        "tests/web/test_asking.py",
    ),
    "bridge/rules/views.py": ("tests/cli/test_payloads.py",),
    "bridge/rules/completion.py": ("tests/rules/test_completion.py", "tests/rules/test_run_names.py"),
    "bridge/rules/waking.py": ("tests/rules/test_waking.py", "tests/flows/test_inquiring.py"),
    "bridge/rules/abandoning.py": ("tests/rules/test_abandoning.py", "tests/flows/test_abandoning.py"),
    "bridge/edges/inbox/abandoned.py": ("tests/edges/inbox/test_abandoned.py",),
    "bridge/rules/reconciling.py": ("tests/flows/test_reconciling.py", "tests/rules/test_reconciling.py"),
    "bridge/rules/need.py": ("tests/rules/test_attention.py",),
    "bridge/rules/odd.py": ("tests/rules/test_odd.py", "tests/rules/test_attention.py"),
    "bridge/rules/standing.py": ("tests/rules/test_standing.py", "tests/rules/test_attention.py"),
    "bridge/rules/drift/*.py": ("tests/rules/test_drift.py", "tests/rules/test_drift_limits.py"),
    "bridge/rules/*.py": ("tests/rules/test_{stem}.py",),
    "bridge/edges/inbox/adding.py": (
        "tests/edges/inbox/test_adding.py",
        "tests/edges/inbox/test_completions.py",
        "tests/edges/inbox/test_replays.py",
        "tests/edges/inbox/test_triggers.py",
        "tests/edges/inbox/test_deadlines.py",
        "tests/edges/inbox/test_vault.py",
        "tests/flows/test_freeing.py",
    ),
    "bridge/edges/inbox/completions.py": ("tests/edges/inbox/test_completions.py", "tests/flows/test_copies.py"),
    "bridge/edges/inbox/agreeing.py": ("tests/edges/inbox/test_agreeing.py", "tests/edges/inbox/test_completions.py"),
    "bridge/edges/inbox/replays.py": ("tests/edges/inbox/test_replays.py", "tests/edges/inbox/test_completions.py"),
    "bridge/edges/inbox/run_ids.py": ("tests/edges/inbox/test_completions.py", "tests/edges/inbox/test_triggers.py"),
    "bridge/edges/inbox/claiming.py": ("tests/edges/inbox/test_claiming.py", "tests/edges/inbox/test_triggers.py"),
    "bridge/edges/inbox/moving.py": ("tests/edges/inbox/test_moving.py", "tests/chores/test_clock.py"),
    # Of `engine` what no thread waits for, since an edit that hangs costs a minute, and what SQLite runs.
    "bridge/edges/inbox/engine/ids.py": ("tests/edges/inbox/engine/test_ids.py",),
    "bridge/edges/inbox/engine/intake.py": ("tests/edges/inbox/engine/test_intake.py",),
    "bridge/edges/inbox/deliveries.py": (
        "tests/edges/inbox/test_deliveries.py",
        "tests/edges/inbox/test_rows.py",
        "tests/edges/inbox/test_triggers.py",
        "tests/edges/inbox/test_replays.py",
        "tests/edges/inbox/test_completions.py",
    ),
    "bridge/edges/inbox/duties.py": ("tests/edges/inbox/test_duties.py", "tests/edges/inbox/test_runs.py"),
    "bridge/edges/inbox/rows.py": (
        "tests/edges/inbox/test_rows.py",
        "tests/edges/inbox/test_browsing.py",
        "tests/edges/inbox/test_vault.py",
    ),
    "bridge/edges/inbox/triggers.py": (
        "tests/edges/inbox/test_triggers.py",
        "tests/edges/inbox/test_runs.py",
        "tests/edges/inbox/test_deadlines.py",
        "tests/flows/test_renaming.py",
    ),
    **{f"bridge/edges/inbox/{stem}.py": (f"tests/edges/inbox/test_{stem}.py",) for stem in _OWN_TESTS},
    **{
        f"bridge/edges/inbox/{stem}.py": tuple(
            test if test.startswith("tests/") else f"tests/edges/inbox/{test}" for test in tests
        )
        for stem, tests in _BESIDE.items()
    },
    "bridge/edges/inbox/unmapped.py": ("tests/edges/inbox/test_unmapped.py", "tests/flows/test_unmapped.py"),
    "bridge/edges/inbox/holds.py": ("tests/edges/inbox/test_holds.py", "tests/flows/test_freeing.py"),
    "bridge/edges/inbox/heard.py": ("tests/edges/inbox/test_heard.py", "tests/chores/test_heard.py"),
    "bridge/edges/inbox/loaded.py": ("tests/chores/test_loaded.py",),
    "bridge/edges/inbox/*.py": ("tests/edges/inbox",),
}
SKIPPED = ("__init__.py", "views.py")


def concerning(module: Path) -> tuple[str, ...]:
    """Return which tests concern a module."""
    for pattern, tests in TESTS.items():
        if module.match(pattern):
            return tuple(test.format(stem=module.stem) for test in tests)
    raise SystemExit(f"no tests are named for {module}: add them to tests/mutants/concerning.py")
