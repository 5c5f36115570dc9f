"""What `make demo` runs: one aiohttp application on several event loops under one load, as a table and a picture."""
