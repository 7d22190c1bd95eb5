"""The `uec` identity applet on the chip, after the specification in `card_io.applets.uec`."""
