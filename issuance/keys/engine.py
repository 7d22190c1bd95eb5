"""What every vault does, wherever its keys lie: states, counts, batches, and the port itself.

A chest holds the key material (an encrypted file, a token) and does the primitive operations; this engine decides what
may be asked of which key, and sees that a change is saved before anyone hears of it.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Self, TypeVar

from card_io.keyset import KeySet, SessionKeys
from card_io.secret import Secret
from issuance.errors import BadComponent, UnusableKey, VaultError, VaultExists, VaultLocked
from issuance.keys import backup, bureau_keys, card_keys, diversification, material
from issuance.keys.chest import Chest
from issuance.keys.diversification import Master
from issuance.keys.keyring import KeyRing, Work
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import (
    BureauKeyRequest,
    BureauKeys,
    CardSessionRequest,
    ForetellRequest,
    ForetoldSession,
    KeyAlgorithm,
    KeyInfo,
    KeyPurpose,
    KeyRef,
    KeyState,
    PutKeyData,
    PutKeyRequest,
    VaultIdentity,
)

Result = TypeVar("Result")

_MAX_RANDOM_BYTES = 1 << 20
_RESERVED_USES = 50_000

Clock = Callable[[], datetime]


class VaultEngine:
    """A `Vault` over a chest."""

    def __init__(self, chest: Chest, identity: VaultIdentity, ring: KeyRing, *, clock: Clock | None = None) -> None:
        """Take an open chest and what it holds; without a clock, periods of keys are told and not judged."""
        self._chest, self._identity, self._ring = chest, identity, ring
        self._clock = clock
        self._closed = False
        self._guard = threading.RLock()

    def __enter__(self) -> Self:
        """Use the vault and close it at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Save the counts and forget the keys; another process may open the vault then."""
        with self._guard:
            if self._closed:
                return
            try:
                if self._ring.settle():
                    self._save()
            finally:
                self._closed = True
                self._ring = KeyRing()
                self._chest.close()

    def identity(self) -> VaultIdentity:
        """Return which vault this is and its generation."""
        with self._open():
            return self._identity

    def step(self, generation: int) -> VaultIdentity:
        """Count the generation on by one if it is this one, for the office to remember; returns what it is then."""
        with self._open():
            if self._identity.generation == generation:
                self._change(lambda: None)
            return self._identity

    def count_lost(self, ref: KeyRef, algorithm: KeyAlgorithm, check_value: str, *, now: datetime) -> None:
        """Know a version as destroyed that this copy of the vault does not hold, so that it is never given again."""
        with self._open():
            self._change(lambda: self._ring.add_lost(ref, algorithm, check_value, now))

    def generate(self, purpose: KeyPurpose, algorithm: KeyAlgorithm, *, now: datetime) -> KeyRef:
        """Make a new key version, active at once; the version that was active is retired."""
        return self._add(purpose, algorithm, now, self._chest.make, KeyState.ACTIVE)

    def generate_ahead(self, purpose: KeyPurpose, algorithm: KeyAlgorithm, *, now: datetime) -> KeyRef:
        """Make a new key version that is pre-active: it can be certified, and works once it is moved to active."""
        return self._add(purpose, algorithm, now, self._chest.make, KeyState.PRE_ACTIVE)

    def import_key(
        self,
        purpose: KeyPurpose,
        algorithm: KeyAlgorithm,
        components: tuple[Secret, ...],
        *,
        check_value: str,
        now: datetime,
    ) -> KeyRef:
        """Put a symmetric key together from two or more components (XOR), each entered by its own custodian.

        `check_value`: 6 hex digits that came with the key. Raises `BadComponent`; nothing is changed then.
        """
        material.require_importable(purpose, algorithm)
        key = card_keys.combine(components, material.size_of(algorithm))
        return self.take_key(purpose, algorithm, key, check_value=check_value, now=now)

    def take_key(
        self, purpose: KeyPurpose, algorithm: KeyAlgorithm, key: Secret, *, check_value: str, now: datetime
    ) -> KeyRef:
        """Take in a symmetric key that a ceremony has put together; raises `BadComponent`, nothing is changed then."""
        material.require_importable(purpose, algorithm)
        if len(key) != material.size_of(algorithm):
            raise BadComponent(f"the key has {len(key)} bytes, {algorithm} needs another length")
        found = material.symmetric_check_value(key, algorithm)
        if found != check_value.upper():
            raise BadComponent(
                f"the components give check value {found}, not {check_value.upper()}: one of them was mistyped"
            )
        return self._add(purpose, algorithm, now, lambda ref, kind: self._chest.put(ref, kind, key), KeyState.ACTIVE)

    def back_up(self, transport: Secret) -> bytes:
        """Return all keys wrapped under a transport key (32 bytes), with their states, check values and versions."""
        wrapping = backup.wrapping_key(transport)
        with self._open():
            kept = [info.ref for info in self._ring.infos(None) if info.state is not KeyState.DESTROYED]
            keys = {
                ref: backup.WrappedKey(
                    self._chest.wrap(ref, wrapping),
                    None if ref.purpose in material.SYMMETRIC_PURPOSES else self._chest.public_key(ref),
                )
                for ref in kept
            }
            return backup.encode(backup.Backup(self._identity, self._ring, keys), transport)

    def restore(self, data: bytes, transport: Secret) -> VaultIdentity:
        """Take a backup into this empty vault, which becomes the one that was backed up, at the same generation.

        Every key's check value is compared. Raises `BadBackup`, and `VaultExists` for a vault that has keys; nothing
        has changed then.
        """
        given, wrapping = backup.decode(data, transport), backup.wrapping_key(transport)
        with self._open():
            if self._ring.infos(None):
                raise VaultExists("this vault has keys already: restore into an empty one", path="vault")
            before = self._ring, self._identity
            try:
                for ref, key in given.keys.items():
                    info = given.ring.get(ref)
                    found = self._chest.unwrap(ref, info.algorithm, key.material, key.public_key, wrapping)
                    if found != info.check_value:
                        raise backup.BadBackup(f"{ref.purpose} version {ref.version} has check value {found}")
                self._ring, self._identity = given.ring, given.identity
                self._save()
            except BaseException:
                self._ring, self._identity = before
                for ref in given.keys:
                    self._chest.drop(ref)
                raise
            return self._identity

    def move(self, ref: KeyRef, event: KeyEvent) -> None:
        """Let an event happen to a key (activate, retire, compromise, destroy); raises `UnusableKey`, `UnknownKey`."""
        with self._open():
            self._change(lambda: self._ring.move(ref, event))
            if event is KeyEvent.DESTROY:
                self._chest.drop(ref)

    def set_period(self, ref: KeyRef, until: datetime) -> None:
        """Let a key's period end at another moment; raises `UnusableKey`, `UnknownKey`."""
        with self._open():
            self._change(lambda: self._ring.set_period(ref, until))

    def trust_clock(self) -> None:
        """Custodians have looked: forget which moment was seen, because the clock was ahead then."""
        with self._open():
            self._ring.seen = None
            self._save()

    def describe(self, purpose: KeyPurpose | None = None) -> list[KeyInfo]:
        """Tell about all keys, or those of one purpose, by purpose and version."""
        with self._open():
            return self._ring.infos(purpose)

    def active(self, purpose: KeyPurpose) -> KeyRef:
        """Return the active version; raises `UnknownKey` when there is none."""
        with self._open():
            return self._ring.active(purpose)

    def public_key(self, ref: KeyRef) -> bytes:
        """Return the SubjectPublicKeyInfo in DER; a destroyed or symmetric key has none (`UnusableKey`)."""
        with self._open():
            info = self._ring.get(ref)
            if info.state is KeyState.DESTROYED or ref.purpose in material.SYMMETRIC_PURPOSES:
                raise UnusableKey(
                    f"key {ref.purpose} version {ref.version} has no public key",
                    purpose=ref.purpose,
                    version=ref.version,
                )
            return self._chest.public_key(ref)

    def sign(self, ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        """Sign each message: ECDSA in DER, RSA PKCS #1 v1.5, or Ed25519."""
        with self._signing(ref, len(messages)) as info:
            return self._chest.sign(ref, info.algorithm, messages)

    def sign_digests(self, ref: KeyRef, digests: Sequence[bytes]) -> list[bytes]:
        """Sign digests that the caller made with the key's hash. Not for Ed25519."""
        with self._signing(ref, len(digests)) as info:
            try:
                return self._chest.sign_digests(ref, info.algorithm, digests)
            except ValueError as error:
                raise UnusableKey(
                    f"key {ref.purpose} version {ref.version} cannot sign these digests: {error}",
                    purpose=ref.purpose,
                    version=ref.version,
                ) from error

    def card_sessions(self, requests: Sequence[CardSessionRequest]) -> list[SessionKeys]:
        """Derive session keys after checking each card's cryptogram; a mismatch raises `WrongCardKeys`."""
        keys = self._static_keys([(r.master, r.derivation, r.kdd) for r in requests], Work.OPEN_CARD)
        return [card_keys.session_keys(own, request) for own, request in zip(keys, requests, strict=True)]

    def card_session(self, request: CardSessionRequest) -> SessionKeys:
        """Derive session keys for one card; see `card_sessions`."""
        return self.card_sessions([request])[0]

    def foretell_session(self, request: ForetellRequest) -> ForetoldSession:
        """Compute a card's next session before the card is there."""
        (keys,) = self._static_keys([(request.master, request.derivation, request.kdd)], Work.OPEN_CARD)
        return card_keys.foretold_session(keys, request)

    def put_key_data(self, requests: Sequence[PutKeyRequest]) -> list[PutKeyData]:
        """Wrap each card's new static keys under its current DEK."""
        current = self._static_keys([(r.current, r.derivation, r.kdd) for r in requests], Work.OPEN_CARD)
        new = self._static_keys([(r.new, r.derivation, r.kdd) for r in requests], Work.KEY_CARD)
        return [card_keys.put_key_data(*each) for each in zip(current, new, requests, strict=True)]

    def _static_keys(self, cards: Sequence[tuple[KeyRef, str, bytes]], work: Work) -> list[KeySet]:
        """Derive cards' keys in their order; all cards of one master and derivation at once."""
        groups: dict[tuple[KeyRef, str], list[int]] = {}
        for place, (ref, derivation, _) in enumerate(cards):
            groups.setdefault((ref, derivation), []).append(place)
        keys: dict[int, KeySet] = {}
        for (ref, derivation), places in groups.items():
            with self._used(ref, work, len(places)) as info:
                kdds = [cards[place][2] for place in places]
                keys.update(zip(places, diversification.static_keys(self._master(info), derivation, kdds), strict=True))
        return [keys[place] for place in range(len(cards))]

    def transport_pins(self, ref: KeyRef, card_number: str, digits: Mapping[str, int]) -> dict[str, Secret]:
        """Derive a card's transport PINs; `digits` names each and its length; ASCII digits come back."""
        with self._used(ref, Work.DERIVE_PINS, 1) as info:
            master = self._master(info)
            return {name: card_keys.transport_pin(master, card_number, name, size) for name, size in digits.items()}

    def admin_key(self, ref: KeyRef, chip_id: str, size_bytes: int) -> Secret:
        """Derive the key that manages a chip's applet outside of a secure channel; see `card_keys.admin_key`."""
        with self._used(ref, Work.OPEN_CARD, 1) as info:
            return card_keys.admin_key(self._master(info), chip_id, size_bytes)

    def bureau_keys(self, transport: KeyRef, requests: Sequence[BureauKeyRequest]) -> list[BureauKeys]:
        """Wrap chips' key sets under a bureau's transport key (RFC 3394); see `bureau_keys`."""
        current = self._static_keys([(r.current, r.derivation, r.kdd) for r in requests], Work.OPEN_CARD)
        new = self._static_keys([(r.new, r.derivation, r.kdd) for r in requests], Work.KEY_AT_BUREAU)
        sets = [[bureau_keys.key_set(keys) for keys in side] for side in (current, new)]
        wrapped = [self._wrap(transport, [plain for plain, _ in side]) for side in sets]
        return [
            BureauKeys(first, first_values, second, second_values)
            for first, (_, first_values), second, (_, second_values) in zip(
                wrapped[0], sets[0], wrapped[1], sets[1], strict=True
            )
        ]

    def bureau_pins(
        self, transport: KeyRef, ref: KeyRef, card_numbers: Sequence[str], digits: Mapping[str, int]
    ) -> list[bytes]:
        """Wrap cards' transport PINs under a bureau's transport key; see `bureau_keys.pin_data`."""
        with self._used(ref, Work.DERIVE_PINS, len(card_numbers)) as info:
            master = self._master(info)
            plain = [
                bureau_keys.pin_data(
                    {name: card_keys.transport_pin(master, number, name, size) for name, size in digits.items()}
                )
                for number in card_numbers
            ]
        return self._wrap(transport, plain)

    def _wrap(self, transport: KeyRef, plain: Sequence[bytes]) -> list[bytes]:
        """Wrap under a transport key what has one length (or, with keys of two sizes, length by length)."""
        wrapped: dict[int, bytes] = {}
        with self._used(transport, Work.SEND_KEYS, len(plain)) as info:
            master = self._master(info)
            for size in {len(one) for one in plain}:
                places = [place for place, one in enumerate(plain) if len(one) == size]
                made = bureau_keys.wrap_all(master.enciphered, [plain[place] for place in places])
                wrapped.update(zip(places, made, strict=True))
        return [wrapped[place] for place in range(len(plain))]

    def random(self, size_bytes: int) -> bytes:
        """Return random bytes, at most a megabyte at once."""
        if not 0 <= size_bytes <= _MAX_RANDOM_BYTES:
            raise VaultError(f"ask for 0 to {_MAX_RANDOM_BYTES} random bytes at once, not {size_bytes}")
        with self._open():
            return self._chest.random(size_bytes)

    def _master(self, info: KeyInfo) -> Master:
        return Master(
            material.size_of(info.algorithm),
            material.block_size_of(info.algorithm),
            lambda messages: self._chest.cmac(info.ref, messages),
            lambda blocks, into: self._chest.encrypt(info.ref, info.algorithm, blocks, into),
        )

    def _add(
        self,
        purpose: KeyPurpose,
        algorithm: KeyAlgorithm,
        now: datetime,
        make: Callable[[KeyRef, KeyAlgorithm], str],
        state: KeyState,
    ) -> KeyRef:
        with self._open():
            ref = self._ring.next_ref(purpose, algorithm)

            def added() -> KeyRef:
                self._ring.add(ref, algorithm, make(ref, algorithm), now)
                if state is KeyState.ACTIVE:
                    self._ring.move(ref, KeyEvent.ACTIVATE)
                return ref

            try:
                return self._change(added)
            except BaseException:
                self._chest.drop(ref)
                raise

    def _change(self, change: Callable[[], Result]) -> Result:
        """Change the ring and save it; when it cannot be saved, nothing has changed."""
        with self._open():
            before, identity = self._ring.copy(), self._identity
            try:
                result = change()
                self._identity = VaultIdentity(identity.vault_id, identity.generation + 1)
                self._save()
            except BaseException:
                self._ring, self._identity = before, identity
                raise
            return result

    def _save(self) -> None:
        self._chest.save(self._ring, self._identity)

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._guard:
            if self._closed:
                raise VaultLocked("the vault is locked: two custodians must unlock it again")
            yield

    @contextmanager
    def _used(self, ref: KeyRef, work: Work, times: int) -> Iterator[KeyInfo]:
        """Count uses, durably, and hold the vault while the key works."""
        with self._open():
            info = self._ring.use(ref, work, times, self._clock() if self._clock else None)
            if self._ring.needs_reserve(ref):
                self._reserve(ref, times)
            yield info

    def _reserve(self, ref: KeyRef, times: int) -> None:
        """Write a count ahead of many uses: one write for all of them, and none is forgotten by a crash."""
        before = self._ring.copy()
        try:
            self._ring.reserve(ref, _RESERVED_USES)
            self._save()
        except BaseException:
            self._ring = before
            self._ring.take_back(ref, times)  # what cannot be counted is not done
            raise

    @contextmanager
    def _signing(self, ref: KeyRef, times: int) -> Iterator[KeyInfo]:
        """Count signatures; a chest with processes for them makes them while the vault does other work."""
        with self._used(ref, Work.SIGN, times) as info:
            if not self._chest.signs_beside:
                yield info
                return
        yield info
