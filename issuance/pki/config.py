"""The settings of the certificate authority: names, addresses it prints into certificates, lifetimes."""

from dataclasses import dataclass

from issuance.errors import BadSettings
from issuance.pki import der
from issuance.pki.names import Subject, encode_name


@dataclass(frozen=True)
class CaConfig:
    """What an authority is called and where its lists lie.

    `base_url` is where terminals fetch certificates and lists; it is plain http, because checking a list's server
    certificate would need that list. `policy_arc` is the operator's own OID; profiles add their number to it (the
    default lies below RFC 5612's arc for examples). No arc is longer than 32 bits: common readers stop there.
    `ocsp` is whether certificates say where their state is answered; `ocsp_address` is where, plain http too, and
    empty for a place below `base_url`. `crl_part_entries` is 0 for one list, or how many certificates a part of it
    speaks for.
    """

    organization: str
    country: str = "RU"
    root_common_name: str = "UEC Root CA"
    issuing_common_name: str = "UEC Issuing CA"
    base_url: str = "http://127.0.0.1:8080"
    policy_arc: str = "1.3.6.1.4.1.32473.1"
    ocsp: bool = False
    ocsp_address: str = ""
    crl_part_entries: int = 0
    root_days: int = 7305
    issuing_days: int = 3652

    def __post_init__(self) -> None:
        """Refuse what would make certificates nobody can check; raises `BadSettings`."""
        if not self.base_url.startswith("http://") or self.base_url.endswith("/"):
            raise BadSettings(f"the address of lists is http://... without a final slash, not {self.base_url}")
        if self.root_common_name == self.issuing_common_name:
            raise BadSettings("the root and the issuing authority need different names")
        if not 0 < self.issuing_days <= self.root_days:
            raise BadSettings("the issuing authority lives at most as long as the root")
        if self.crl_part_entries < 0:
            raise BadSettings("a revocation list speaks for so many certificates, or for all of them (0)")
        if self.ocsp_address and not self.ocsp_address.startswith("http://"):
            raise BadSettings(f"states of certificates are answered at http://..., not {self.ocsp_address}")
        try:
            der.oid(self.policy_arc)
            if max(int(arc) for arc in self.policy_arc.split(".")) >> 32:
                raise ValueError("an arc is longer than 32 bits")
        except ValueError as error:
            raise BadSettings(f"the policy arc: {error}") from error

    def authority_name(self, common_name: str) -> bytes:
        """Encode the name of an authority of this operator."""
        return encode_name(country=self.country, organization=self.organization, common_name=common_name)

    def permitted_subtree(self) -> bytes:
        """Encode the name every subject begins with: country and organisation."""
        return encode_name(country=self.country, organization=self.organization)

    def subject(
        self,
        *,
        common_name: str | None = None,
        serial_number: str | None = None,
        surname: str | None = None,
        given_name: str | None = None,
    ) -> Subject:
        """Return a subject under this operator's country and organisation."""
        return Subject(common_name, serial_number, surname, given_name, self.organization, self.country)

    def crl_url(self, partition: int | None = None) -> str:
        """Where the issuing authority's list, or one of its parts, lies."""
        return f"{self.base_url}/pki/crl/issuing{'' if partition is None else f'-{partition}'}.crl"

    def delta_url(self, partition: int | None = None) -> str:
        """Where the changes since a list's last complete edition lie."""
        return f"{self.crl_url(partition).removesuffix('.crl')}-delta.crl"

    @property
    def root_crl_url(self) -> str:
        """Where the root's list lies."""
        return f"{self.base_url}/pki/crl/root.crl"

    @property
    def issuing_certificate_url(self) -> str:
        """Where the issuing authority's certificate lies."""
        return f"{self.base_url}/pki/ca/issuing.cer"

    @property
    def root_certificate_url(self) -> str:
        """Where the root's certificate lies."""
        return f"{self.base_url}/pki/ca/root.cer"

    @property
    def ocsp_url(self) -> str | None:
        """Where certificates' states are answered, when they are."""
        return (self.ocsp_address or f"{self.base_url}/pki/ocsp") if self.ocsp else None
