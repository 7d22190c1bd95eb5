"""The `uec` identity applet: what a finished card is (`layout`), how it is written (`personalisation`), `session`."""
