"""The data directory of one machine.

- `infra.local.directory.data_directory` has its paths, its lock and the way to open it;
- `infra.local.directory.journal` writes the engine's tables, one transaction a turn;
- `infra.local.directory.migrations` upgrades a directory of an older version;
- `infra.local.directory.sandbox` and `infra.local.directory.clock_rebase` are for skipped time.
"""
