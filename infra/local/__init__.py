"""The one-machine runtime: the single-host profile of ``template.yaml``.

One process reads the template and does what AWS would do with it; handlers run in worker
processes; all state is in one SQLite database. It is no emulator of AWS: one host, no IAM, and two
closed tables, the resource types (`infra.local.template.resources`) and the API operations
(`infra.server.aws_api`). Nothing enters them without a use in the shipped template or a case that
AWS validated.
"""
