"""The background duties that no webhook waits for, each named after the thing that it looks after."""
