"""The folder of the project, and its template."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The repository, with the template, the workflows and the contracts."""

TEMPLATE = ROOT / "template.yaml"
