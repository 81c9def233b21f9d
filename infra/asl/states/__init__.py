"""The states, each compiled to functions that ask a Turn for what they want done."""
