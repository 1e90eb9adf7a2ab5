"""Bridges for the rehearsal."""

from tests.e2e.conftest import start_bridge

__all__ = ["start_bridge"]
