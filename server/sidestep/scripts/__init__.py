"""Finding, reading, checking and trusting workflow scripts; all static, nothing is run."""
