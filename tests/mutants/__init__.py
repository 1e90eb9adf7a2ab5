"""Careless edits made on purpose: what no test notices is a test that is missing."""
