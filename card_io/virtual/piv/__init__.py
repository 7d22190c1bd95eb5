"""The `piv` applet on the chip: NIST SP 800-73-4."""
