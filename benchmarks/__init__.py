"""Every figure in README and docs was made by a script of this folder; run them from the project's root."""
