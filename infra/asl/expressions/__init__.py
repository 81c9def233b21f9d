"""The expressions of a definition: paths, templates, intrinsic functions, choice rules."""
