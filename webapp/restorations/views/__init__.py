"""The pages of a restoration: live or result, history, deletion, and its files."""
