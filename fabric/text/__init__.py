"""Text that leaves the program or enters it: words, tables, Markdown, CSV, and files as a whole."""
