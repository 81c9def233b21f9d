"""The console of a deployed stack: its source, and the readers of its pages."""
