"""The fixtures of a store, a mapping and a stand-in, which flows and chores share."""

from tests.support.fixtures import inbox, mapping, metrics, path, standin, store, url

__all__ = ["inbox", "mapping", "metrics", "path", "standin", "store", "url"]
