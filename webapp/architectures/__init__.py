"""What searches found: architectures, and what reviewers say of them."""
