"""What a change of the mapping does: to its routes, and to what bodies would start. Pure.

    compare_routes   the routes that were added, removed, changed and renamed (`routes`)
    Comparison       what the change does to one body: the kind, and for people what starts now and then (`bodies`)

A body is planned as the router does it, but by the routes that differ alone: what all others make of it is the same.
"""

from bridge.rules.comparing.bodies import Comparison
from bridge.rules.comparing.plans import Difference, Kind, compare_triggers, conf_changes, starts, view
from bridge.rules.comparing.routes import Changed, RouteChanges, compare_routes, view_routes

__all__ = [
    "Changed",
    "Comparison",
    "Difference",
    "Kind",
    "RouteChanges",
    "compare_routes",
    "compare_triggers",
    "conf_changes",
    "starts",
    "view",
    "view_routes",
]
