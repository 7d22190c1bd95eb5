"""A keeper of static keys for tests: derives session keys as a vault would, in this process."""

from dataclasses import dataclass, field

from card_io import scp02, scp03
from card_io.channel import SessionRequest
from card_io.keyset import KeySet, SessionKeys


@dataclass
class TestVault:
    """Key sets by version; remembers what it was asked."""

    __test__ = False

    keys: dict[int, KeySet]
    asked: list[SessionRequest] = field(default_factory=list)

    def session_keys(self, request: SessionRequest) -> SessionKeys:
        """Session keys for the key version that the card named."""
        self.asked.append(request)
        static = self.keys[request.kvn]
        if request.scp == 0x02:
            card2 = scp02.parse_initialize_update(request.initialize_update)
            return scp02.derive_session_keys(static, card2.sequence_counter)
        card3 = scp03.parse_initialize_update(request.initialize_update)
        return scp03.derive_session_keys(static, request.host_challenge, card3.card_challenge, card3.s_mode)
