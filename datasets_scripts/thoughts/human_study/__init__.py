"""A study with people: sheets to fill in, and what the filled sheets say."""
