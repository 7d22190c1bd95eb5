"""Stock of blanks and quality, on both databases."""
