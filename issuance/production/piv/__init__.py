"""PIV cards: the same flows as above, in the commands of NIST SP 800-73-4 (part 2), for cards of any maker.

`commands` has the commands, `objects` the data objects, `admin` the way in, `personalise`, `observe` and `holder` what
differs from a card with a secure channel.
"""
