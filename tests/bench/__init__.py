"""What `make bench` measures: ratios against a bare server, and times against a direct call.

Nothing here is a test: the numbers depend on the machine, so they are printed and never asserted. What is
asserted is that a run measured what it says: every answer 2xx, every webhook stored once.
"""
