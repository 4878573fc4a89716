"""Conducting one run: turns, steps, replay. Knows ports, never SQLite, Monty or JSON-RPC."""
