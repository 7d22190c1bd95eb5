"""Made-up residents of a made-up region: for demonstrations, tests and benchmarks; nobody real is in it."""
