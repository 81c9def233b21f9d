"""Reads the SAM template into a `Stack`, and refuses everything that one machine does not run.

- `infra.local.template.resources` has the table of resource types and refuses any other type;
- `infra.local.template.functions` reads functions and their event sources;
- `infra.local.template.loader` reads YAML and resolves parameters and references;
- `infra.local.template.stack` has the result: one dataclass for each kind of resource.
"""
