"""Parts of ``orders replay``: sources, selection, pace, checkpoint and account."""
