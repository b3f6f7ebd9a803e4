"""Uploads: from bytes to a stored picture, its strokes and its mask."""
