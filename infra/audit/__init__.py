"""Checking the invariants of ``docs/reliability.md`` over a whole place: a directory or a stack.

`rules` holds one order and the stock against them, for every place and for the file of a move. A
directory is read as of one moment; an order in flight may be in between, as far as the invariants
allow it.
"""
