"""Checks of the invariants of ``docs/reliability.md`` over a whole directory or stack.

`rules` checks one order, and the stock, for every place and for the file of a move. A directory is
read as of one moment; an order in flight may be in between, as far as the invariants allow it.
"""
