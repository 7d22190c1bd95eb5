"""A bureau for rehearsals: a real program with its own keys that makes real (virtual) cards, and errors on demand."""
