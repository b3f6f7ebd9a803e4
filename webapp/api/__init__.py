"""The JSON API under /api/v1/: for scripts, and for the pages' own code."""
