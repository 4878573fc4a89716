"""What carries out steps."""
