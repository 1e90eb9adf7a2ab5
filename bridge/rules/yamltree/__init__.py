"""Strict YAML whose every value knows its place in the file. The only importer of ruamel.yaml.

YAML 1.2's core schema, so that `on:` is a key and `2025-03-27` is text; no tags, no anchors, no duplicate keys, one
document, bounded in size and depth. `validate` puts the values into a pydantic model and turns each of its complaints
into a Problem with a place.
"""

from bridge.rules.yamltree.parsing import MAX_DEPTH, parse
from bridge.rules.yamltree.tree import Path, Place, Tree, config_error, nearest
from bridge.rules.yamltree.validating import validate

__all__ = ["MAX_DEPTH", "Path", "Place", "Tree", "config_error", "nearest", "parse", "validate"]
