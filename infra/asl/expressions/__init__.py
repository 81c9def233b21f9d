"""What reads data in a definition: paths, templates, intrinsic functions, choice rules."""
