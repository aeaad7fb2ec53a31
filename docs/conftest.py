"""What pytest leaves out here."""

# Its examples are run where they stand, in the docstrings.
collect_ignore = ["api.md", "build_api.py"]
