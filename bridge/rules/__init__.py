"""What is decided, and how: pure functions without I/O, clock, environment or randomness."""
