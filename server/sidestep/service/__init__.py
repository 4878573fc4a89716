"""Runs as the service owns them: start, wait, interrupt, resume, list."""
