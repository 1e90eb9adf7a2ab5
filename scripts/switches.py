"""Switches of the environment, such as DRAFT=1: the one place that says what is on."""

import os


def is_on(name: str) -> bool:
    """Whether a variable is set; an empty one and `0` mean no, as in the Makefile."""
    return os.environ.get(name, "") not in ("", "0")
