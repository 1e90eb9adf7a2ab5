"""Who sent these bytes: the one place that turns raw bytes into `model.Verified`.

Pure: the clock is a parameter. A source is pinned to one preset; no other one is ever tried.
"""

from bridge.signature.keys import MAX_KEYS, Key, check_secret
from bridge.signature.presets import PRESETS, Preset
from bridge.signature.verifying import Verifier, sign

__all__ = ["MAX_KEYS", "PRESETS", "Key", "Preset", "Verifier", "check_secret", "sign"]
