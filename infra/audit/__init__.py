"""Checks of the invariants of ``docs/reliability.md`` over all data of a directory or a stack.

`rules` checks one order, and the stock, for every place and for export files. A directory is read
as of one moment; an order in flight may be between two states, if the invariants allow it.
"""
