"""What benchmarks of the whole region stand on: its points and applications, and half a year of work on them."""
