"""A card in software that follows the specifications, not the host of this project.

`card` is the chip: bytes in, bytes out. `connection` puts it in this process, `vpcd` into a virtual PC/SC reader.
The card side shares with the host only the APDU and TLV codecs, `Secret` and the layout of the `uec` applet; both ends
of the secure channel are written apart and checked apart against recorded sessions.
"""
