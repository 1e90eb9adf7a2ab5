"""Tests of routes: bodies, and what they must start. Pure; the files' texts and the plans come in as parameters.

    read      text -> Suite, or ConfigError with every mistake at its place
    judge     a test and the plan of its body -> every difference, at its place in the file
    junit     the outcomes as XML that CI systems read

The plan is made by `planning.plan`, as the router makes it, so a test that passes says what will happen. A DAG that
starts and is not expected is a difference, and so is a route that fails: a test is never passed by looking away.
"""

from bridge.rules.expecting.forms import StartForm, TestForm, json_schema
from bridge.rules.expecting.judging import Outcome, judge
from bridge.rules.expecting.junit import junit
from bridge.rules.expecting.reading import Case, Suite, read

__all__ = ["Case", "Outcome", "StartForm", "Suite", "TestForm", "json_schema", "judge", "junit", "read"]
