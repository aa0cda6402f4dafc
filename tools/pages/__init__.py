"""Pages of docs/ that are written from data: what others published, and what the program says to it."""
