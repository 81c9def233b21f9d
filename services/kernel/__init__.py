"""What every service shares: the published language, the order's record, the host's ports."""
