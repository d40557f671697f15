"""Settings: read from recipes, files and flags, checked, and written as TOML."""
