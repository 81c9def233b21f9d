"""Orders: intake, the claim that fences runs, changes, and the end of an order."""
