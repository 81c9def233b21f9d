"""The one-machine runtime: the single-host profile of ``template.yaml``.

One process reads the template and runs its resources as AWS would; handlers run in worker
processes; all state is in one SQLite database. It is not an emulator of AWS: it has one host, no
IAM, and two closed tables, the resource types (`infra.local.template.resources`) and the API
operations (`infra.server.aws_api`). A new row needs a use in the shipped template or a case that
AWS validated.

Layers, the highest first: `infra.local.settle_limited`, `infra.local.platform` and
`infra.local.settle`, `infra.local.engine`, `infra.local.workers`, `infra.local.stack_loader`,
`infra.local.template`, `infra.local.directory`, `infra.local.orderflow` and `infra.local.clock`.
"""
