"""JSONata, the second query language: the process that evaluates it, and its compiler."""
