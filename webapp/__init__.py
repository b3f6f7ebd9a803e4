"""The site: pages, API, rows.  It imports the torch-free half of the engine only, and never a worker."""
