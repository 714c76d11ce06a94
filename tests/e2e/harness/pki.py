# SPDX-License-Identifier: Apache-2.0
"""Certificates of the tests' own making: authorities, leaves good and bad, chains, client ones.

    ca = Authority(folder)
    ca.issue("example.com", "*.example.com")            # ECDSA P-256, valid now
    ca.issue("example.com", key="rsa")
    ca.issue("example.com", days=(-30, -1))             # expired
    ca.authority("Middle").issue("example.com")         # a chain of three, the middle in the file

Every certificate has the same key of its kind unless `fresh` asks for its own: making RSA keys is
slow, and nothing here depends on them being different.
"""
import datetime
import ipaddress
import itertools
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MAKE = {
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
SHARED = {}
COUNT = itertools.count(1)


def key_of(kind, fresh=False):
    if fresh:
        return MAKE[kind]()
    if kind not in SHARED:
        SHARED[kind] = MAKE[kind]()
    return SHARED[kind]


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def distinguished(common, organisation=None):
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else []
    if organisation:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(parts)


def alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Certificate:
    """A certificate with its key, as files: `cert` (the chain, leaf first) and `key`."""

    def __init__(self, folder, x509_cert, private, chain=()):
        self.x509 = x509_cert
        self.private = private
        self.chain = [x509_cert, *chain]
        self.cert = f"{folder}/{x509_cert.serial_number:x}.pem"
        self.key = f"{folder}/{x509_cert.serial_number:x}.key"
        self.write()

    def write(self, cert=None, key=None):
        """Writes the files; with arguments to other paths, to replace what is served from there."""
        with open(cert or self.cert, "wb") as file:
            file.write(self.pem)
        path = key or self.key
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(self.key_pem)
        return self

    @property
    def pem(self):
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in self.chain)

    @property
    def key_pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM,
                                          serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption())

    @property
    def der(self):
        return self.x509.public_bytes(serialization.Encoding.DER)

    @property
    def serial(self):
        return self.x509.serial_number

    @property
    def fingerprint(self):
        return self.x509.fingerprint(hashes.SHA256()).hex()

    @property
    def spki(self):
        return self.x509.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def files(self):
        """What stands in a configuration."""
        return {"cert": self.cert, "key": self.key}


class Authority:
    """A root, or (with `parent`) an authority below another one."""

    def __init__(self, folder, name="Test Root", parent=None, key="ecdsa"):
        self.folder = str(folder)
        self.name = distinguished(name, "adit tests")
        self.parent = parent
        self.private = key_of(key, fresh=True)
        self.issued = {}
        signer = parent or self
        self.x509 = self.sign(self.name, self.private.public_key(), signer, days=(-1, 3650), more=[
            (x509.BasicConstraints(True, None), True),
            (x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)])
        self.file = f"{self.folder}/{self.x509.serial_number:x}.ca.pem"
        with open(self.file, "wb") as file:
            file.write(self.pem)

    @property
    def pem(self):
        return self.x509.public_bytes(serialization.Encoding.PEM)

    def authority(self, name="Test Middle"):
        return Authority(self.folder, name, parent=self)

    @staticmethod
    def sign(name, public, signer, days, more):
        key_id = x509.SubjectKeyIdentifier.from_public_key
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(signer.name)
                   .public_key(public).serial_number(x509.random_serial_number() & ~0xff | next(COUNT) & 0xff)
                   .not_valid_before(now() + datetime.timedelta(days[0]))
                   .not_valid_after(now() + datetime.timedelta(days[1]))
                   .add_extension(key_id(public), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                       signer.private.public_key()), False))
        for extension, critical in more:
            builder = builder.add_extension(extension, critical)
        signed = builder.sign(signer.private, None if isinstance(
            signer.private, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        signer.issued[signed.serial_number] = signed
        return signed

    def issue(self, *names, key="ecdsa", days=(-1, 30), client=False, common=None, fresh=False,
              chain=True, ocsp_url=None):
        """A leaf. `client` makes it one that clients show, with `common` as its name."""
        private = key_of(key, fresh)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        more = [(x509.BasicConstraints(False, None), True),
                (x509.ExtendedKeyUsage([usage]), False)]
        if names:
            more.append((x509.SubjectAlternativeName([alternative(n) for n in names]), False))
        if ocsp_url:
            more.append((x509.AuthorityInformationAccess([x509.AccessDescription(
                x509.oid.AuthorityInformationAccessOID.OCSP,
                x509.UniformResourceIdentifier(ocsp_url))]), False))
        subject = distinguished(common or (names[0] if names else "nobody"),
                                "adit tests" if client else None)
        leaf = self.sign(subject, private.public_key(), self, days, more)
        between, above = [], self
        while chain and above.parent:
            between.append(above.x509)
            above = above.parent
        return Certificate(self.folder, leaf, private, between)

    def ocsp_answer(self, request_der, status=ocsp.OCSPCertStatus.GOOD, days=7):
        """The DER answer to a request for one of its certificates."""
        asked = ocsp.load_der_ocsp_request(request_der)
        revoked = now() if status == ocsp.OCSPCertStatus.REVOKED else None
        return ocsp.OCSPResponseBuilder().add_response(
            self.issued[asked.serial_number], self.x509, hashes.SHA1(), status,
            now() - datetime.timedelta(minutes=1), now() + datetime.timedelta(days), revoked,
            None).responder_id(ocsp.OCSPResponderEncoding.HASH, self.x509).sign(
                self.private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    # -- contexts of Python's ssl -----------------------------------------------------------

    def client_context(self, alpn=(), cert=None, version=None, ciphers=None):
        """For a client that trusts this authority only. `version`: "1.2" or "1.3", only that."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.pem.decode())
        return tune(context, alpn, cert, version, ciphers)

    def server_context(self, cert, alpn=(), version=None, ciphers=None, ask=None):
        """For a server that shows `cert`. `ask`: an authority whose client certificates it needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if ask:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=ask.pem.decode())
        return tune(context, alpn, cert, version, ciphers)


def tune(context, alpn=(), cert=None, version=None, ciphers=None):
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if cert:
        context.load_cert_chain(cert.cert, cert.key)
    if version:
        number = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = number
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def insecure_context(alpn=(), cert=None, version=None, ciphers=None):
    """For a client that trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return tune(context, alpn, cert, version, ciphers)
