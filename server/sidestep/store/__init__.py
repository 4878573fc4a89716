"""The durable journal: SQLite, its in-memory twin, and the owners whose locks say who lives."""
