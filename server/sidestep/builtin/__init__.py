"""Built-in workflow scripts."""
