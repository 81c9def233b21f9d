"""The published contracts: schemas, examples, AsyncAPI, OpenAPI, an index page, and their check."""
