"""The state types, each compiled to functions that act on an `Advance`."""
