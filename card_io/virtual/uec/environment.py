"""The current security environment: which key and algorithm the next operation uses.

ISO/IEC 7816-8:2019 and 7816-4:2020, 11.5.11 (MANAGE SECURITY ENVIRONMENT): templates B6 (signature), B8
(confidentiality, used for key agreement) and A4 (authentication); inside, 80 algorithm and 84 (or 83) key reference;
81, the directory of the key, is what stock software adds: one applet has one set of keys, so it says nothing here.
"""

from card_io import tlv
from card_io.applets.uec.layout import AlgorithmRef
from card_io.errors import InvalidTlv
from card_io.virtual.refusal import REFERENCE_NOT_FOUND, WRONG_DATA, WRONG_P1P2, Refused

_SIGNATURE, _AGREEMENT, _AUTHENTICATION = 0xB6, 0xB8, 0xA4
_SET_FOR_COMPUTATION = 0x41
_RESTORE = 0xF3


class SecurityEnvironment:
    """Lost when the applet is selected anew."""

    def __init__(self) -> None:
        self._set: dict[int, tuple[int | None, int | None]] = {}

    def clear(self) -> None:
        """Nothing is chosen."""
        self._set.clear()

    def set(self, p1: int, p2: int, data: bytes) -> None:
        """MSE SET of one template, or MSE RESTORE of environment 00 or 01, the empty ones."""
        if p1 == _RESTORE:
            if p2 not in {0x00, 0x01}:
                raise Refused(REFERENCE_NOT_FOUND)
            self.clear()
            return
        if p1 != _SET_FOR_COMPUTATION or p2 not in {_SIGNATURE, _AGREEMENT, _AUTHENTICATION}:
            raise Refused(WRONG_P1P2)
        algorithm, key = self._set.get(p2, (None, None))
        for item in self.template(data):
            if item.tag == 0x81:
                continue
            if len(item.value) != 1:
                raise Refused(WRONG_DATA)
            if item.tag == 0x80:
                algorithm = item.value[0]
            elif item.tag in {0x83, 0x84}:
                key = item.value[0]
            else:
                raise Refused(WRONG_DATA)
        if algorithm is not None and algorithm not in set(AlgorithmRef):
            raise Refused(WRONG_DATA)
        self._set[p2] = algorithm, key

    @staticmethod
    def template(data: bytes) -> list[tlv.Tlv]:
        """The data objects of a template; 6A80 when they are not TLV."""
        try:
            return tlv.parse(data)
        except InvalidTlv as error:
            raise Refused(WRONG_DATA) from error

    @property
    def signature_key(self) -> int | None:
        """Slot for PSO COMPUTE DIGITAL SIGNATURE."""
        return self._set.get(_SIGNATURE, (None, None))[1]

    @property
    def signature_algorithm(self) -> int | None:
        """Algorithm for PSO COMPUTE DIGITAL SIGNATURE."""
        return self._set.get(_SIGNATURE, (None, None))[0]

    @property
    def agreement_key(self) -> int | None:
        """Slot for PSO DECIPHER."""
        return self._set.get(_AGREEMENT, (None, None))[1]

    @property
    def authentication_key(self) -> int | None:
        """Slot for INTERNAL AUTHENTICATE with P2 00."""
        return self._set.get(_AUTHENTICATION, (None, None))[1]
