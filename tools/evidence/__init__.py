"""The calibration ``measured``, fitted to the evidence."""
