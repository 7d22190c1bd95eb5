"""The PIV card application.

NIST SP 800-73-4 part 2, chapter 3. INS FF (set the management key) is no command of NIST's, which leaves it to makers:
it is the one that off-the-shelf tools send.
"""

from collections.abc import Callable
from typing import ClassVar, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from card_io import tlv
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.errors import InvalidTlv
from card_io.virtual import asymmetric
from card_io.virtual.applet import Surroundings
from card_io.virtual.piv.card_data import (
    BIOMETRIC_GROUP,
    DISCOVERY,
    MANAGEMENT_KEY,
    OBJECT_MAX,
    P_256,
    P_384,
    PIN,
    PUK,
    RSA_2048,
    SLOT_CARD,
    SLOT_SIGNATURE,
    SLOTS,
    FactoryValues,
    application_template,
    discovery_object,
    is_object,
    wants_pin,
)
from card_io.virtual.piv.secrets import SIZE, ManagementKey, ReferenceData
from card_io.virtual.refusal import (
    CLA_UNKNOWN,
    CONDITIONS,
    INS_UNKNOWN,
    NO_MEMORY,
    NOT_FOUND,
    NOT_SUPPORTED,
    REFERENCE_NOT_FOUND,
    SECURITY_STATUS,
    WRONG_DATA,
    WRONG_P1P2,
    Refused,
)

_OK: Final = ResponseAPDU(b"", 0x9000)
_CURVES: Final = {P_256: ec.SECP256R1(), P_384: ec.SECP384R1()}
_TIMED_AS: Final = {P_256: 1, P_384: 2, RSA_2048: 3}
_WITNESS, _CHALLENGE, _RESPONSE, _EXPONENTIATION = 0x80, 0x81, 0x82, 0x85
_VERIFY: Final = 0x20


class PivApplet:
    """One instance in factory state when installed."""

    other_names: ClassVar[tuple[bytes, ...]] = ()

    def __init__(self, world: Surroundings) -> None:
        self._world = world
        self._area = world.area
        self._secrets = ReferenceData(world.area)
        self._management = ManagementKey(world.area, world.randomness)
        self._commands: dict[int, Callable[[CommandAPDU], ResponseAPDU]] = {
            _VERIFY: self._verify,
            0x24: self._change_reference_data,
            0x2C: self._reset_retry_counter,
            0x47: self._generate,
            0x87: self._general_authenticate,
            0xCB: self._get_data,
            0xDB: self._put_data,
            0xFF: self._set_management_key,
        }

    def install(self) -> None:
        """Factory values."""
        self._secrets.set_up(FactoryValues())
        self._management.set_up(FactoryValues())

    def select(self, name: bytes, p2: int) -> ResponseAPDU:
        """The application property template; nothing is verified or authenticated."""
        del name
        self.deselect()
        return ResponseAPDU(b"" if p2 & 0x0C == 0x0C else application_template(), 0x9000)

    def deselect(self) -> None:
        """Forget PIN and management key."""
        self._secrets.forget()
        self._management.forget()

    def check_personalisable(self) -> None:
        """PIV cards are personalised by their own commands."""
        raise Refused(CONDITIONS)

    def store(self, p1: int, data: bytes, *, encrypted: bool) -> bytes:
        """Never."""
        del p1, data, encrypted
        raise Refused(CONDITIONS)

    def process(self, command: CommandAPDU) -> ResponseAPDU:
        """Answer a command of class 00."""
        handler = self._commands.get(command.ins)
        if command.cla & 0xFC:
            raise Refused(CLA_UNKNOWN)
        if handler is None:
            raise Refused(INS_UNKNOWN)
        if command.ins not in {_VERIFY, 0x87}:
            self._secrets.fresh = False  # another command came between the PIN and the signature
        return handler(command)

    def _verify(self, command: CommandAPDU) -> ResponseAPDU:
        if command.p2 != PIN:
            raise Refused(REFERENCE_NOT_FOUND)
        if command.p1 == 0xFF and not command.data:
            self._secrets.forget()
            return _OK
        if command.p1:
            raise Refused(WRONG_P1P2)
        if not command.data:
            return ResponseAPDU(b"", self._secrets.state())
        self._secrets.verify(command.data)
        return _OK

    def _change_reference_data(self, command: CommandAPDU) -> ResponseAPDU:
        if command.p2 not in {PIN, PUK}:
            raise Refused(REFERENCE_NOT_FOUND)
        if command.p1 or len(command.data) != 2 * SIZE:
            raise Refused(WRONG_DATA)
        self._secrets.check(command.p2, command.data[:SIZE])
        self._area.checkpoint()
        self._secrets.replace(command.p2, command.data[SIZE:])
        return _OK

    def _reset_retry_counter(self, command: CommandAPDU) -> ResponseAPDU:
        if command.p2 != PIN:
            raise Refused(REFERENCE_NOT_FOUND)
        if command.p1 or len(command.data) != 2 * SIZE:
            raise Refused(WRONG_DATA)
        self._secrets.check(PUK, command.data[:SIZE])
        self._area.checkpoint()
        self._secrets.replace(PIN, command.data[SIZE:])
        return _OK

    def _require_management(self) -> None:
        if not self._management.authenticated:
            raise Refused(SECURITY_STATUS)

    def _set_management_key(self, command: CommandAPDU) -> ResponseAPDU:
        self._require_management()
        data = command.data
        if command.p1 != 0xFF or len(data) < 3 or data[1] != MANAGEMENT_KEY or data[2] != len(data) - 3:
            raise Refused(WRONG_DATA)
        self._management.replace(data[0], data[3:])
        return _OK

    def _get_data(self, command: CommandAPDU) -> ResponseAPDU:
        tag, rest = _tag_list(command)
        if rest or not is_object(tag):
            raise Refused(NOT_FOUND)
        if wants_pin(tag) and not self._secrets.verified:
            raise Refused(SECURITY_STATUS)
        if tag == DISCOVERY:
            return ResponseAPDU(discovery_object(), 0x9000)
        content = self._area.octets(f"object/{tag:06x}")
        if content is None:
            raise Refused(NOT_FOUND)
        return ResponseAPDU(tlv.encode(tag if tag == BIOMETRIC_GROUP else 0x53, content), 0x9000)

    def _put_data(self, command: CommandAPDU) -> ResponseAPDU:
        self._require_management()
        tag, content = _object_to_put(command)
        if tag == DISCOVERY or not is_object(tag):
            raise Refused(NOT_FOUND)
        if len(content) > OBJECT_MAX:
            raise Refused(NO_MEMORY)
        if content:
            self._area.put(f"object/{tag:06x}", content)
        else:
            self._area.delete(f"object/{tag:06x}")
        return _OK

    def _generate(self, command: CommandAPDU) -> ResponseAPDU:
        self._require_management()
        if command.p1 or command.p2 not in SLOTS:
            raise Refused(WRONG_P1P2)
        try:
            algorithm = int.from_bytes(tlv.require(command.data, 0xAC, 0x80), "big")
        except InvalidTlv as error:
            raise Refused(WRONG_DATA) from error
        if algorithm in _CURVES:
            private: asymmetric.PrivateKey = self._world.randomness.ec_key(_CURVES[algorithm])
        elif algorithm == RSA_2048:
            private = self._world.randomness.rsa_key(2048)
        else:
            raise Refused(WRONG_DATA)
        self._world.spend(f"generate/{_TIMED_AS[algorithm]}")
        self._area.put(f"key/{command.p2:02x}", (algorithm, asymmetric.encode(private)))
        return ResponseAPDU(asymmetric.public_key(private), 0x9000)

    def _general_authenticate(self, command: CommandAPDU) -> ResponseAPDU:
        try:
            items = {item.tag: item.value for item in tlv.parse(tlv.single(command.data, 0x7C))}
        except InvalidTlv as error:
            raise Refused(WRONG_DATA) from error
        if command.p2 == MANAGEMENT_KEY:
            return self._authenticate_manager(command.p1, items)
        private = self._private_key(command.p1, command.p2)
        if items.get(_RESPONSE) != b"":
            raise Refused(WRONG_DATA)
        if _EXPONENTIATION in items:
            answer = asymmetric.agree(private, items[_EXPONENTIATION])
        elif _CHALLENGE in items:
            self._world.spend(f"sign/{_TIMED_AS[command.p1]}")
            answer = _private_operation(private, items[_CHALLENGE])
        else:
            raise Refused(WRONG_DATA)
        return _template(_RESPONSE, answer)

    def _private_key(self, algorithm: int, slot: int) -> asymmetric.PrivateKey:
        """The key of a slot, its PIN rule met: 9E none, 9C right before, the others since the selection."""
        if slot not in SLOTS:
            raise Refused(WRONG_P1P2)
        verified = self._secrets.fresh if slot == SLOT_SIGNATURE else self._secrets.verified
        self._secrets.fresh = False
        match self._area.row(f"key/{slot:02x}"):
            case (int(stored), bytes(encoded)) if stored == algorithm:
                if slot != SLOT_CARD and not verified:
                    raise Refused(SECURITY_STATUS)
                return asymmetric.decode(encoded)
            case None:
                raise Refused(REFERENCE_NOT_FOUND)
            case _:
                raise Refused(WRONG_P1P2)

    def _authenticate_manager(self, algorithm: int, items: dict[int, bytes]) -> ResponseAPDU:
        size = self._management.check_algorithm(algorithm)
        match items:
            case {0x80: b""}:
                return _template(_WITNESS, self._management.give_witness(size))
            case {0x81: b""}:
                return _template(_CHALLENGE, self._management.give_challenge(size))
            case {0x80: bytes(witness), 0x81: bytes(challenge)}:
                return _template(_RESPONSE, self._management.answer_mutual(witness, challenge, size))
            case {0x82: bytes(response)}:
                self._management.accept_external(response)
                return _OK
            case _:
                raise Refused(WRONG_DATA)


def _private_operation(private: asymmetric.PrivateKey, data: bytes) -> bytes:
    if isinstance(private, rsa.RSAPrivateKey):
        return asymmetric.rsa_raw(private, data)
    return asymmetric.sign_hash(private, data)


def _template(tag: int, value: bytes) -> ResponseAPDU:
    return ResponseAPDU(tlv.encode(0x7C, tlv.encode(tag, value)), 0x9000)


def _object_to_put(command: CommandAPDU) -> tuple[int, bytes]:
    """Tag and content: a tag list and 53, or the biometric group template, which comes as itself (part 2, 3.3.2)."""
    try:
        first, end = tlv.read_one(command.data)
        if first.tag in {BIOMETRIC_GROUP, DISCOVERY} and end == len(command.data):
            return first.tag, first.value
        tag, rest = _tag_list(command)
        return tag, tlv.single(rest, 0x53)
    except InvalidTlv as error:
        raise Refused(WRONG_DATA) from error


def _tag_list(command: CommandAPDU) -> tuple[int, bytes]:
    """The one tag of the tag list 5C, and what follows the list."""
    if (command.p1, command.p2) != (0x3F, 0xFF):
        raise Refused(WRONG_P1P2)
    try:
        item, end = tlv.read_one(command.data)
    except InvalidTlv as error:
        raise Refused(WRONG_DATA) from error
    if item.tag != 0x5C or not 1 <= len(item.value) <= 3:
        raise Refused(NOT_SUPPORTED if item.tag != 0x5C else WRONG_DATA)
    return int.from_bytes(item.value, "big"), command.data[end:]
