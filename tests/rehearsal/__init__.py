"""The rehearsal: the template on an independent emulator, compared with one machine."""
