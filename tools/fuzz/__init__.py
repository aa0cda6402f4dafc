"""Inputs changed by chance, and every answer that is none flagged: ``make fuzz``."""
