"""The way of a webhook, step by step, and what a person may ask for."""
