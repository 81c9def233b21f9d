"""The one-machine runtime: the single-host profile of ``template.yaml``.

One process reads the template and runs its resources; handlers run in worker processes; all state
is in one SQLite database. It is not an emulator of AWS: it has one host, no IAM, and two closed
tables, the resource types (`infra.local.template.resources`) and the API operations
(`infra.server.aws_api`). An entry needs a use in the shipped template or a case that AWS validated.

- `infra.local.template` reads the template and refuses unknown resources;
- `infra.local.directory` is the data directory: its files, lock, tables and migrations;
- `infra.local.engine` is the engine: events, queues, executions, schedules, recovery;
- `infra.local.workers` runs the functions, and kills them at their timeouts;
- `infra.local.platform` opens all of them for a data directory.
"""
