"""The pages in a real browser. A package, so that its browser ends with its last test and disturbs no event loop."""
