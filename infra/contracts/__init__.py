"""The contracts as others read them: schemas, examples, AsyncAPI, an index page, and their gate."""
