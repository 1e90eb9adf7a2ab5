"""When to try again, how often, and when to stop asking a place that is down."""
