"""What to do when a route asks for a field that an event has not, looked up or not: which it is, and how to get it."""

from collections.abc import Mapping

_ASK = "give the source an `api`, which is asked for it"
_HOW = {
    "pipeline": ("pipeline_id", f"register the webhook as /hooks/SOURCE/PIPELINE_ID, or {_ASK}"),
    "pipeline_name": ("pipeline_name", f"match by `pipeline`, or {_ASK}"),
    "connection": ("connection_id", _ASK),
    "environment": ("environment", "the documented API does not tell it"),
    "event": ("type", "match by something else"),
}
IN_ANSWERS = ("pipeline", "pipeline_name", "connection")  # what the API's answers have
# By the route's key.
SENTENCES: Mapping[str, str] = {
    key: f"{key}: the event has none; {how}; or say where the body has it: body: {{fields: {{{field}: /PLACE}}}}"
    for key, (field, how) in _HOW.items()
}
