"""The rehearsal: the same template deployed to an independent emulator, and what differs there."""
