"""Talks to smart cards: GlobalPlatform cards, PIV cards, the `uec` identity card; and has a card of its own to talk to.

A card in a reader, its registry read through a secure channel whose keys stay with their keeper (`keys` is any object
with `session_keys(SessionRequest) -> SessionKeys`, see `card_io.channel.KeyPort`):

    with open_reader("Gemalto") as connection:
        domain = SecurityDomain(connection)
        domain.select()
        channel = domain.open_channel(keys, level=0x33, host_challenge=os.urandom(8))
        for entry in channel.registry(Subset.APPLETS):
            print(entry.aid.hex(), entry.privileges)

Bytes in, bytes out: `apdu`, `tlv`, `scp02`, `scp03`, `globalplatform` and `diversification` touch neither reader nor
clock nor randomness. `connection` says what a card is to everyone else (one method, `transmit`), `pcsc` is the one
module that knows pyscard, `virtual` a card in software written from the specifications and not from this host.
"""
