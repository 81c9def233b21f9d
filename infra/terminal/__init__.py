"""Printing to a terminal, a pipe or a file, with text from outside escaped."""
