"""AWS's published serverless patterns, run on cloudlet: see `python -m tests.patterns --help`."""
