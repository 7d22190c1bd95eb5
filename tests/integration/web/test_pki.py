"""What anyone may fetch: certificates, revocation list, stop-list; and that OpenSSL's library reads them."""

from datetime import timedelta

from cryptography import x509
from flask.testing import FlaskClient

from tests.support.desk import CardOffice
from tests.support.office import POLICY
from uec.services import cards, publication


def test_certificates_form_a_chain(client: FlaskClient) -> None:
    loaded = {
        name: x509.load_der_x509_certificate(client.get(f"/pki/ca/{name}.cer").data) for name in ("root", "issuing")
    }
    loaded["issuing"].verify_directly_issued_by(loaded["root"])
    assert client.get("/pki/ca/other.cer").status_code == 404


def test_revocation_list_and_stop_list_follow_a_lost_card(client: FlaskClient, office: CardOffice) -> None:
    assert client.get("/pki/").status_code == 200
    (card_id,) = office.make_cards(800)
    office.hand_over(card_id)
    bench = office.desk.bench
    with office.sessions() as session:
        publication.publish_crl(session, bench.ca, policy=POLICY, now=office.clock())
    before = x509.load_der_x509_crl(client.get("/pki/crl/issuing.crl").data)
    with office.sessions() as session:
        cards.report_lost(session, card_id, actor=office.staff.operator, reason="lost", now=office.clock())
        publication.publish_crl(session, bench.ca, policy=POLICY, now=office.clock() + timedelta(minutes=1))
    answer = client.get("/pki/crl/issuing.crl")
    after = x509.load_der_x509_crl(answer.data)
    assert len(after) == len(before) + 4
    assert answer.mimetype == "application/pkix-crl" and "max-age=3600" in answer.headers["Cache-Control"]
    issuing = x509.load_der_x509_certificate(client.get("/pki/ca/issuing.cer").data)
    assert after.is_signature_valid(issuing.public_key())  # type: ignore[arg-type]
    root = x509.load_der_x509_certificate(client.get("/pki/ca/root.cer").data)
    of_root = x509.load_der_x509_crl(client.get("/pki/crl/root.crl").data)
    assert of_root.is_signature_valid(root.public_key())  # type: ignore[arg-type]
    assert client.get("/pki/crl/other.crl").status_code == 404
    page = client.get("/pki/").text
    assert "Сертификатов в списке" in page


def test_nothing_published_is_404_and_said_on_the_page(client: FlaskClient) -> None:
    assert client.get("/pki/stop-list").status_code == 404
    assert "Ещё не опубликовано" in client.get("/pki/").text
