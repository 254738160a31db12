"""What this host must not lose, in SQLite."""
