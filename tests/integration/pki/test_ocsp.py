"""OCSP before OpenSSL's client, pkilint and the library's reader; every malformed request gets OCSP's own answer."""

import base64
import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from hypothesis import given
from hypothesis import strategies as st
from pkilint.bin import lint_ocsp_response

from issuance.errors import PkiError
from issuance.keys.port import KeyPurpose
from issuance.pki import der, ocsp
from issuance.pki.crl import RevocationReason
from issuance.pki.ocsp_request import MalformedRequest, decode_get, parse_request
from issuance.pki.signing import Signer
from tests.support.pki import TODAY, Authority, openssl, pem

PERIOD = ocsp.Period(TODAY - timedelta(minutes=1), TODAY + timedelta(hours=1))
HELD = ocsp.Revoked(TODAY - timedelta(minutes=5), RevocationReason.CERTIFICATE_HOLD)


@pytest.fixture(scope="module")
def signer(authority: Authority) -> Signer:
    key = authority.vault.public_key(authority.vault.active(KeyPurpose.OCSP))
    subject = authority.ca.config.subject(common_name="OCSP responder 1")
    return Signer.find(authority.vault, KeyPurpose.OCSP, authority.issue("ocsp", public_key=key, subject=subject))


@pytest.fixture(scope="module")
def responder(authority: Authority, signer: Signer) -> ocsp.Responder:
    return ocsp.Responder(signer, authority.ca.issuing)


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> bytes:
    return authority.issue()


def serial_of(certificate: bytes) -> int:
    return x509.load_der_x509_certificate(certificate).serial_number


def knows(states: Mapping[int, ocsp.Status]) -> ocsp.Lookup:
    def lookup(serials: Sequence[int]) -> Mapping[int, ocsp.Status]:
        return {serial: states[serial] for serial in serials if serial in states}

    return lookup


def request_for(authority: Authority, certificate: bytes, nonce: bytes | None = None, *, sha256: bool = False) -> bytes:
    builder = library.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(certificate),
        x509.load_der_x509_certificate(authority.ca.issuing),
        hashes.SHA256() if sha256 else hashes.SHA1(),
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("status", "said"),
    [(ocsp.Good(), "good"), (HELD, "revoked"), (ocsp.Revoked(TODAY, RevocationReason.UNSPECIFIED), "revoked"),
     (ocsp.Unknown(), "unknown"), (None, "unknown")],
    ids=["good", "held", "revoked", "unknown", "never issued"],
)  # fmt: skip
def test_openssl_asks_and_believes_the_answer(
    authority: Authority,
    responder: ocsp.Responder,
    certificate: bytes,
    tmp_path: Path,
    status: ocsp.Status | None,
    said: str,
) -> None:
    issuing, asked = pem(tmp_path / "issuing", authority.ca.issuing), pem(tmp_path / "asked", certificate)
    made = openssl("ocsp", "-issuer", issuing, "-cert", asked, "-reqout", tmp_path / "request")
    assert made.returncode == 0, made.stderr
    lookup = knows({} if status is None else {serial_of(certificate): status})
    answer = responder.answer((tmp_path / "request").read_bytes(), lookup, PERIOD, now=TODAY)
    (tmp_path / "answer").write_bytes(answer)
    read = openssl(
        "ocsp", "-issuer", issuing, "-cert", asked, "-reqin", tmp_path / "request", "-respin", tmp_path / "answer",
        "-no_nonce", "-CAfile", pem(tmp_path / "root", authority.ca.root), "-verify_other", issuing,
    )  # fmt: skip
    assert "Response verify OK" in read.stderr, read.stderr
    assert f": {said}" in read.stdout
    if status is HELD:
        assert "Reason: certificateHold" in read.stdout


def test_pkilint_finds_nothing(responder: ocsp.Responder, signer: Signer, tmp_path: Path) -> None:
    states: dict[int, ocsp.Status] = {1: ocsp.Good(), 2: HELD, 3: ocsp.Unknown()}
    for serial, content in responder.presign(states, PERIOD, now=TODAY).items():
        path = tmp_path / str(serial)
        path.write_bytes(ocsp.assemble(content, signer.certificate))
        output = io.StringIO()
        with contextlib.redirect_stdout(output), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            lint_ocsp_response.main(["lint", "-s", "WARNING", "--document-format", "DER", str(path)])
        assert output.getvalue().strip() == ""


@pytest.mark.parametrize("sha256", [False, True], ids=["sha1", "sha256"])
@pytest.mark.parametrize("nonce", [None, b"n" * 32, b"n", b"n" * 128], ids=["none", "32", "1", "128"])
def test_the_identifier_and_the_nonce_are_repeated(
    authority: Authority, responder: ocsp.Responder, certificate: bytes, nonce: bytes | None, sha256: bool
) -> None:
    request = request_for(authority, certificate, nonce, sha256=sha256)
    answer = library.load_der_ocsp_response(
        responder.answer(request, knows({serial_of(certificate): ocsp.Good()}), PERIOD, now=TODAY)
    )
    assert answer.response_status is library.OCSPResponseStatus.SUCCESSFUL
    assert answer.certificate_status is library.OCSPCertStatus.GOOD
    assert answer.serial_number == serial_of(certificate)
    assert (answer.this_update_utc, answer.next_update_utc) == (PERIOD.this_update, PERIOD.next_update)
    assert answer.produced_at_utc == TODAY
    found = [extension.value.nonce for extension in answer.extensions if isinstance(extension.value, x509.OCSPNonce)]
    assert found == ([] if nonce is None else [nonce])


def test_answers_signed_ahead_are_those_for_their_certificates(responder: ocsp.Responder, signer: Signer) -> None:
    # Numbers of every length and states of every kind, mixed: each is put around what was encoded once.
    states: dict[int, ocsp.Status] = {}
    for number, size in enumerate([1, 7, 8, 9, 127, 128, 129, 130, 150, 159]):
        serial = (1 << size) - 1 - number
        states[serial] = (ocsp.Good(), HELD, ocsp.Unknown())[number % 3]
        states[serial + 1000] = ocsp.Revoked(TODAY - timedelta(hours=number), RevocationReason.KEY_COMPROMISE)
    said = {ocsp.Good: "GOOD", ocsp.Revoked: "REVOKED", ocsp.Unknown: "UNKNOWN"}
    key = x509.load_der_x509_certificate(signer.certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    for serial, content in responder.presign(states, PERIOD, now=TODAY).items():
        answer = library.load_der_ocsp_response(ocsp.assemble(content, signer.certificate))
        state = states[serial]
        assert (answer.serial_number, answer.certificate_status.name) == (serial, said[type(state)])
        if isinstance(state, ocsp.Revoked):
            assert answer.revocation_time_utc == state.at
        assert (answer.this_update_utc, answer.next_update_utc) == (PERIOD.this_update, PERIOD.next_update)
        key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
        assert answer.certificates[0].public_bytes(Encoding.DER) == signer.certificate


def test_several_questions_are_answered_in_one(authority: Authority, responder: ocsp.Responder) -> None:
    questions = [der.sequence(responder.issuer.cert_id(serial)) for serial in (1, 2, 3)]
    request = der.sequence(der.sequence(der.sequence(*questions)))
    answer = library.load_der_ocsp_response(
        responder.answer(request, knows({1: ocsp.Good(), 2: HELD}), PERIOD, now=TODAY)
    )
    assert [(single.serial_number, single.certificate_status) for single in answer.responses] == [
        (1, library.OCSPCertStatus.GOOD),
        (2, library.OCSPCertStatus.REVOKED),
        (3, library.OCSPCertStatus.UNKNOWN),
    ]


def error_of(answer: bytes) -> str:
    return library.load_der_ocsp_response(answer).response_status.name


def test_another_authoritys_certificate_is_not_spoken_for(
    authority: Authority, responder: ocsp.Responder, certificate: bytes
) -> None:
    root = x509.load_der_x509_certificate(authority.ca.root)
    request = (
        library.OCSPRequestBuilder()
        .add_certificate(x509.load_der_x509_certificate(authority.ca.issuing), root, hashes.SHA1())
        .build()
        .public_bytes(Encoding.DER)
    )
    assert error_of(responder.answer(request, knows({}), PERIOD, now=TODAY)) == "UNAUTHORIZED"


def question(responder: ocsp.Responder) -> bytes:
    return der.sequence(responder.issuer.cert_id(5))


def malformed(responder: ocsp.Responder) -> dict[str, bytes]:
    """Requests of every malformed kind."""
    listed = der.sequence(question(responder))

    def with_nonce(value: bytes) -> bytes:
        extension = der.sequence(der.oid("1.3.6.1.5.5.7.48.1.2"), der.octets(value))
        return der.sequence(der.sequence(listed, der.explicit(2, der.sequence(extension))))

    critical = der.sequence(der.oid("1.2.3"), der.tlv(der.BOOLEAN, b"\xff"), der.octets(b""))
    nonce = der.sequence(der.oid("1.3.6.1.5.5.7.48.1.2"), der.octets(der.octets(b"1")))
    cert_id = responder.issuer.cert_id(5)

    def with_extensions(*listed_ones: bytes) -> bytes:
        return der.sequence(der.sequence(listed, der.explicit(2, der.sequence(*listed_ones))))

    def about(*parts: bytes) -> bytes:
        return der.sequence(der.sequence(der.sequence(der.sequence(*parts))))

    return {
        "empty": b"",
        "noise": b"GET / HTTP/1.1",
        "no questions": der.sequence(der.sequence(der.sequence())),
        "seventeen questions": der.sequence(der.sequence(der.sequence(*[question(responder)] * 17))),
        "version": der.sequence(der.sequence(der.explicit(0, der.integer(0)), listed)),
        "cut": der.sequence(der.sequence(listed))[:-1],
        "trailing": der.sequence(der.sequence(listed)) + b"\x00",
        "negative serial": der.sequence(
            der.sequence(der.sequence(der.sequence(responder.issuer.cert_id(5)[:-1] + b"\xff")))
        ),
        "nonce empty": with_nonce(der.octets(b"")),
        "nonce too long": with_nonce(der.octets(bytes(129))),
        "nonce bare": with_nonce(b"\x01\x02\x03"),
        "critical extension": with_extensions(critical),
        "critical extension behind the nonce": with_extensions(nonce, critical),
        "two nonces": with_extensions(nonce, nonce),
        "critical extension of a question": about(cert_id, der.explicit(0, der.sequence(critical))),
        "question with something behind": about(cert_id, der.explicit(0, der.sequence()), der.octets(b"")),
        "hash algorithm with parameters": about(cert_id.replace(b"\x05\x00", b"\x02\x00")),
        "hash algorithm of no arcs": about(cert_id.replace(der.oid("1.3.14.3.2.26"), b"\x06\x05\x2b\x80\x01\x01\x80")),
        "no serial": about(der.sequence(*[part.raw for part in der.read(cert_id).children()][:3])),
        "no hash algorithm": about(der.sequence(*[part.raw for part in der.read(cert_id).children()][1:])),
        "something behind the extensions": der.sequence(
            der.sequence(listed, der.explicit(2, der.sequence(nonce)), der.octets(b""))
        ),
        "too long": bytes(5000),
        "three parts": der.sequence(der.sequence(listed), b"\x05\x00", b"\x05\x00"),
    }


@pytest.mark.parametrize("kind", list(range(23)))
def test_every_malformed_request_is_called_malformed(responder: ocsp.Responder, kind: int) -> None:
    name, request = list(malformed(responder).items())[kind]
    assert error_of(responder.answer(request, knows({}), PERIOD, now=TODAY)) == "MALFORMED_REQUEST", name


@given(noise=st.binary(max_size=300))
def test_noise_is_malformed_and_nothing_worse(noise: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_request(noise)


@given(at=st.integers(0, 200), value=st.integers(0, 255), nonce=st.booleans(), cut=st.integers(0, 20))
def test_a_request_with_a_byte_changed_is_answered_or_called_by_ocsps_own_name(
    responder: ocsp.Responder, at: int, value: int, nonce: bool, cut: int
) -> None:
    extension = der.sequence(der.oid("1.3.6.1.5.5.7.48.1.2"), der.octets(der.octets(b"n" * 16)))
    extensions = der.explicit(2, der.sequence(extension)) if nonce else b""
    request = bytearray(der.sequence(der.sequence(der.sequence(question(responder)), extensions)))
    request[at % len(request)] = value
    data = bytes(request[: len(request) - cut] if at % 3 == 0 else request)
    answer = library.load_der_ocsp_response(responder.answer(data, knows({5: ocsp.Good()}), PERIOD, now=TODAY))
    status = answer.response_status
    if status is not library.OCSPResponseStatus.SUCCESSFUL:
        assert status.name in {"MALFORMED_REQUEST", "UNAUTHORIZED"}
        return
    asked = parse_request(data)
    expected = "GOOD" if asked.questions[0].serial == 5 else "UNKNOWN"
    assert [single.certificate_status.name for single in answer.responses] == [expected]
    given_back = [one.value.nonce for one in answer.extensions if isinstance(one.value, x509.OCSPNonce)]
    assert given_back == ([asked.nonce] if asked.nonce else [])


def test_a_requestors_name_and_a_signature_are_passed_over(responder: ocsp.Responder) -> None:
    name = der.explicit(1, der.tlv(0x82, b"terminal"))
    request = der.sequence(der.sequence(name, der.sequence(question(responder))), der.explicit(0, der.sequence()))
    assert [item.serial for item in parse_request(request).questions] == [5]


def test_a_get_carries_the_request_in_its_path(authority: Authority, certificate: bytes) -> None:
    request = request_for(authority, certificate)
    assert decode_get(quote(base64.b64encode(request).decode(), safe="")) == request
    for path in ("!!!", "AAA", "A" * 9000, quote("строка")):
        with pytest.raises(MalformedRequest):
            decode_get(path)


def test_an_expired_signer_says_try_later_and_signs_nothing(
    authority: Authority, responder: ocsp.Responder, certificate: bytes
) -> None:
    late = TODAY + timedelta(days=200)
    period = ocsp.Period(late, late + timedelta(hours=1))
    answer = responder.answer(request_for(authority, certificate), knows({}), period, now=late)
    assert error_of(answer) == "TRY_LATER"


def test_a_period_that_goes_back_is_refused(responder: ocsp.Responder) -> None:
    with pytest.raises(PkiError):
        responder.presign({1: ocsp.Good()}, ocsp.Period(TODAY, TODAY), now=TODAY)


def headers(answer: bytes, keep: timedelta, now: datetime) -> dict[str, str]:
    return dict(ocsp.cache_headers(answer, PERIOD, keep=keep, now=now))


def test_caches_keep_an_answer_for_a_while_and_never_past_its_next_update() -> None:
    def age(keep: timedelta, now: datetime) -> str:
        return headers(b"answer", keep, now)["Cache-Control"].split(",")[0]

    assert age(timedelta(days=9), TODAY) == "max-age=3600"
    assert age(timedelta(seconds=30), TODAY) == "max-age=30"
    assert age(timedelta(seconds=30), PERIOD.next_update - timedelta(seconds=7)) == "max-age=7"
    assert age(timedelta(seconds=30), TODAY + timedelta(days=1)) == "max-age=0"
    one, other = (headers(answer, timedelta(seconds=30), TODAY) for answer in (b"answer", b"other"))
    assert one["Expires"].endswith("GMT") and one["Last-Modified"].endswith("GMT")
    assert {name for name in one if one[name] != other[name]} == {"ETag"}
