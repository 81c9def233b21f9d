"""Orders: intake, the claim that fences a run, and how an order ends."""
