# SPDX-License-Identifier: Apache-2.0
"""A certificate authority with a script, and Debian's pebble.

AcmeCA speaks as much of RFC 8555 as a client needs and checks every signature and nonce; what it then
does is up to its Plan: refuse, be slow, lose itself, offer renewal information, issue for a minute.
It looks at no proof unless told to, so a test decides what it finds.

    ca = AcmeCA(folder)
    ca.plan.order_problem = Problem("rateLimited", 429, retry_after=3600)
    ca.at("caa").challenge_problem["http-01"] = Problem("caa")   # another directory, another plan

Run as a program it prints its URL and serves the plans named in PLANS, for the unit tests in C.

Pebble is the real thing: it validates by connecting to the ports given to it.
"""
import base64
import datetime
import hashlib
import hmac
import http.server
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

if __package__:
    from .pki import Authority, alternative, distinguished
    from .ports import free_port
    from .wait import until
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from pki import Authority, alternative, distinguished
    from ports import free_port
    from wait import until

URN = "urn:ietf:params:acme:error:"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Problem(Exception):
    kind: str
    status: int = 403
    detail: str = "because the test wants it"
    retry_after: object = None
    times: int = -1             # how often it happens; -1: always
    subproblems: list = field(default_factory=list)

    def strikes(self):
        if self.times == 0:
            return False
        self.times -= self.times > 0
        return True

    @property
    def document(self):
        found = {"type": self.kind if ":" in self.kind else URN + self.kind, "detail": self.detail,
                 "status": self.status}
        return {**found, "subproblems": self.subproblems} if self.subproblems else found


@dataclass
class Plan:
    offers: tuple = ("http-01", "tls-alpn-01", "dns-01")
    lifetime: float = 90 * 86400            # of certificates, seconds
    window: tuple = None                    # renewal information: start and end from now, seconds
    window_retry: object = None             # its Retry-After
    profiles: dict = None
    eab: dict = None                        # kid: secret; then an account needs one
    reused: bool = False                    # authorisations are valid from the start
    processing: int = 0                     # polls that find the order still processing
    processing_retry: object = None
    outage: int = 0                         # answers of 503 to signed messages
    bad_nonces: int = 0
    account_problem: Problem = None
    order_problem: Problem = None
    replaces_problem: Problem = None        # for orders that say what they replace
    finalize_problem: Problem = None
    challenge_problem: dict = field(default_factory=dict)   # kind: Problem
    prove: object = None                    # prove(kind, name, token, authorization): raises Problem
    other_name: str = None                  # authorisations are for this one
    other_key: bool = False                 # certificates are for another key
    junk: dict = field(default_factory=dict)    # path: bytes that are sent instead
    hang: tuple = ()                        # paths that are not answered for a minute
    ocsp_url: str = None
    delay: float = 0                        # before a challenge is decided


class AcmeCA:
    def __init__(self, folder, name="Test ACME"):
        self.authority = Authority(folder, name)
        self.web = Authority(folder, name + " web")
        self.ca_file = self.web.file
        cert = self.web.issue("localhost", "127.0.0.1")
        self.plans = {}
        self.lock = threading.RLock()
        self.nonces, self.accounts, self.orders, self.authzs, self.certs = set(), {}, {}, {}, {}
        self.log = []       # (time, plan, path, payload) of every request
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.ca = self
        self.server.context = self.web.server_context(cert)
        self.origin = f"https://localhost:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    # -- what tests use -----------------------------------------------------------------------

    def at(self, name):
        return self.plans.setdefault(name, Plan())

    @property
    def plan(self):
        return self.at("x")

    def directory(self, name="x"):
        self.at(name)
        return f"{self.origin}/{name}/dir"

    def issuer(self, name="x", **more):
        """What stands below `issuers` of a configuration."""
        return {"directory": self.directory(name), "ca": self.ca_file, **more}

    def asked(self, path, name=None):
        """The payloads of requests to a path ("order", "account", "finalize", "ari", ...)."""
        with self.lock:
            return [(when, payload) for when, plan, p, payload in self.log
                    if p == path and name in (None, plan)]

    def issued(self):
        with self.lock:
            return list(self.certs.values())

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    # -- the protocol ---------------------------------------------------------------------------

    def nonce(self):
        with self.lock:
            fresh = b64(secrets.token_bytes(16))
            self.nonces.add(fresh)
            return fresh

    def verify(self, plan, url, body):
        """The account and the payload of a signed message."""
        message = json.loads(body)
        header = json.loads(unb64(message["protected"]))
        with self.lock:
            fresh = header["nonce"] in self.nonces
            self.nonces.discard(header["nonce"])
            if not fresh or plan.bad_nonces > 0:
                plan.bad_nonces -= plan.bad_nonces > 0
                raise Problem("badNonce", 400)
        if header["url"] != url:
            raise Problem("unauthorized", 401, f"signed for {header['url']}")
        jwk = header.get("jwk")
        if jwk is None:
            account = self.accounts.get(header["kid"])
            if account is None:
                raise Problem("accountDoesNotExist", 400)
            jwk = account
        signed = f"{message['protected']}.{message['payload']}".encode()
        try:
            check_signature(header["alg"], jwk, unb64(message["signature"]), signed)
        except InvalidSignature:
            raise Problem("malformed", 400, "bad signature") from None
        payload = unb64(message["payload"])
        return jwk, "jwk" in header, json.loads(payload) if payload else None

    def check_binding(self, plan, jwk, payload, url):
        binding = payload.get("externalAccountBinding")
        if plan.eab is None:
            return
        if not binding:
            raise Problem("externalAccountRequired")
        header = json.loads(unb64(binding["protected"]))
        secret = plan.eab.get(header["kid"], "")
        want = hmac.new(unb64(secret), f"{binding['protected']}.{binding['payload']}".encode(),
                        hashlib.sha256).digest()
        if not hmac.compare_digest(want, unb64(binding["signature"])) or header["url"] != url \
                or json.loads(unb64(binding["payload"])) != jwk:
            raise Problem("unauthorized", 401, "the binding does not verify")

    def new_account(self, name, plan, jwk, payload, url):
        if plan.account_problem and plan.account_problem.strikes():
            raise plan.account_problem
        print_of = thumbprint(jwk)
        where = f"{self.origin}/{name}/account/{print_of}"
        known = where in self.accounts
        if not known:
            if not payload.get("termsOfServiceAgreed"):
                raise Problem("userActionRequired")
            self.check_binding(plan, jwk, payload, url)
        self.accounts[where] = jwk
        return (200 if known else 201), {"status": "valid"}, {"Location": where}

    def new_order(self, name, plan, payload):
        if plan.order_problem and plan.order_problem.strikes():
            raise plan.order_problem
        if "replaces" in payload and plan.replaces_problem and plan.replaces_problem.strikes():
            raise plan.replaces_problem
        if payload.get("profile") not in (None, *(plan.profiles or ())):
            raise Problem("invalidProfile")
        where = f"{self.origin}/{name}/order/{b64(secrets.token_bytes(8))}"
        authzs = []
        for identifier in payload["identifiers"]:
            url = f"{self.origin}/{name}/authz/{b64(secrets.token_bytes(8))}"
            wildcard = identifier["value"].startswith("*.")
            value = plan.other_name or identifier["value"].removeprefix("*.")
            offers = ["dns-01"] if wildcard else plan.offers
            self.authzs[url] = {
                "status": "valid" if plan.reused else "pending", "identifier":
                {"type": identifier["type"], "value": value},
                **({"wildcard": True} if wildcard else {}),
                "challenges": [{"type": kind, "status": "pending", "token": b64(secrets.token_bytes(24)),
                                "url": f"{url}/{kind}".replace("/authz/", "/chall/")}
                               for kind in offers]}
            authzs.append(url)
        self.orders[where] = {"payload": payload, "authorizations": authzs, "polls": plan.processing,
                              "csr": None, "error": None}
        return 201, self.order(where, plan), {"Location": where}

    def order(self, where, plan):
        order = self.orders[where]
        states = [self.authzs[a]["status"] for a in order["authorizations"]]
        body = {"identifiers": order["payload"]["identifiers"],
                "authorizations": order["authorizations"],
                "finalize": where.replace("/order/", "/finalize/")}
        if order["error"] or any(s in ("invalid", "deactivated") for s in states):
            return {**body, "status": "invalid", **({"error": order["error"]} if order["error"] else {})}
        if any(s == "pending" for s in states):
            return {**body, "status": "pending"}
        if order["csr"] is None:
            return {**body, "status": "ready"}
        if order["polls"] > 0:
            order["polls"] -= 1
            return {**body, "status": "processing"}
        cert = where.replace("/order/", "/cert/")
        if cert not in self.certs:
            self.certs[cert] = self.sign(order["csr"], plan)
        return {**body, "status": "valid", "certificate": cert}

    def sign(self, csr, plan):
        public = csr.public_key()
        if plan.other_key:
            public = ec.generate_private_key(ec.SECP256R1()).public_key()
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        more = [(x509.BasicConstraints(False, None), True), (names, False),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)]
        if plan.ocsp_url:
            more.append((x509.AuthorityInformationAccess([x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP,
                x509.UniformResourceIdentifier(plan.ocsp_url))]), False))
        ago = 0 if plan.lifetime > 600 else 1 / 86400
        return Authority.sign(distinguished(None), public, self.authority,
                              (-ago, plan.lifetime / 86400), more)

    def finalize(self, where, plan, payload):
        order = self.orders[where]
        if plan.finalize_problem and plan.finalize_problem.strikes():
            raise plan.finalize_problem
        if self.order(where, plan)["status"] != "ready":
            raise Problem("orderNotReady")
        csr = x509.load_der_x509_csr(unb64(payload["csr"]))
        wanted = {alternative(i["value"]) for i in order["payload"]["identifiers"]}
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if not csr.is_signature_valid or set(names) != wanted:
            raise Problem("badCSR", 400)
        order["csr"] = csr
        return 200, self.order(where, plan), self.patience(plan)

    @staticmethod
    def patience(plan):
        return {} if plan.processing_retry is None else {"Retry-After": str(plan.processing_retry)}

    def challenge(self, url, plan, jwk):
        where, _, kind = url.replace("/chall/", "/authz/").rpartition("/")
        authz = self.authzs[where]
        challenge = next(c for c in authz["challenges"] if c["type"] == kind)
        if authz["status"] == "pending":
            threading.Thread(target=self.decide, args=(plan, authz, challenge, jwk), daemon=True).start()
        return 200, challenge, {}

    def decide(self, plan, authz, challenge, jwk):
        time.sleep(plan.delay)
        problem = plan.challenge_problem.get(challenge["type"])
        try:
            if problem and problem.strikes():
                raise problem
            if plan.prove:
                plan.prove(challenge["type"], authz["identifier"]["value"], challenge["token"],
                           f"{challenge['token']}.{thumbprint(jwk)}")
        except Problem as found:
            with self.lock:
                challenge["status"], challenge["error"] = "invalid", found.document
                authz["status"] = "invalid"
            return
        with self.lock:
            challenge["status"] = authz["status"] = "valid"

    def authz(self, url, payload):
        if payload and payload.get("status") == "deactivated":
            self.authzs[url]["status"] = "deactivated"
        return 200, self.authzs[url], {}

    def certificate(self, where):
        chain = [self.certs[where], self.authority.x509]
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)

    def document(self, name, plan):
        base = f"{self.origin}/{name}"
        meta = {"termsOfService": base + "/terms"}
        if plan.eab is not None:
            meta["externalAccountRequired"] = True
        if plan.profiles is not None:
            meta["profiles"] = plan.profiles
        found = {"newNonce": base + "/nonce", "newAccount": base + "/account",
                 "newOrder": base + "/order", "revokeCert": base + "/revoke", "meta": meta}
        return {**found, "renewalInfo": base + "/ari"} if plan.window else found

    def renewal(self, plan):
        def stamp(offset):
            when = datetime.datetime.utcnow() + datetime.timedelta(seconds=offset)
            return when.strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = {} if plan.window_retry is None else {"Retry-After": str(plan.window_retry)}
        start, end = plan.window
        return 200, {"suggestedWindow": {"start": stamp(start), "end": stamp(end)}}, fields

    def post(self, name, plan, path, url, body):
        if plan.outage > 0:
            plan.outage -= 1
            return 503, {"type": "about:blank", "detail": "out of order"}, {"Retry-After": "0"}
        jwk, by_key, payload = self.verify(plan, url, body)
        self.log[-1] = (*self.log[-1][:3], payload)
        if path == "account":
            return self.new_account(name, plan, jwk, payload, url)
        if by_key:
            raise Problem("malformed", 400, "this needs a kid")
        if path == "order":
            if url.endswith("/order"):
                return self.new_order(name, plan, payload)
            return 200, self.order(url, plan), self.patience(plan)
        if path == "authz":
            return self.authz(url, payload)
        if path == "chall":
            return self.challenge(url, plan, jwk)
        if path == "finalize":
            return self.finalize(url.replace("/finalize/", "/order/"), plan, payload)
        if path == "cert":
            return 200, self.certificate(url), {}
        raise Problem("malformed", 404, "no such thing")

    def answer(self, method, path, body):
        """Status, body (dict or bytes) and fields."""
        parts = path.strip("/").split("/")
        name, what = parts[0], (parts + [""])[1]
        if name not in self.plans:
            return 404, {"detail": "no such plan"}, {}
        plan = self.plans[name]
        with self.lock:
            self.log.append((time.time(), name, what, None))
            if what in plan.junk:
                return 200, plan.junk[what], {}
            if what == "dir":
                return 200, self.document(name, plan), {}
            if what == "nonce":
                return 200, b"", {}
            if what == "ari" and plan.window:
                return self.renewal(plan)
            if method != "POST":
                return 405, {"detail": "POST only"}, {}
            try:
                return self.post(name, plan, what, self.origin + path, body)
            except Problem as problem:
                fields = {}
                if problem.retry_after is not None:
                    fields["Retry-After"] = str(problem.retry_after)
                return problem.status, problem.document, fields


def thumbprint(jwk):
    ordered = json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    return b64(hashlib.sha256(ordered).digest())


def number(text):
    return int.from_bytes(unb64(text), "big")


def check_signature(algorithm, jwk, signature, signed):
    if algorithm == "ES256" and jwk["kty"] == "EC":
        key = ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]),
                                            ec.SECP256R1()).public_key()
        der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"),
                                         int.from_bytes(signature[32:], "big"))
        key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
    elif algorithm == "RS256" and jwk["kty"] == "RSA":
        key = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"])).public_key()
        key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise Problem("badSignatureAlgorithm", 400)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, client_address):
        try:
            request.settimeout(60)
            tls = self.context.wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError):
            return
        super().finish_request(tls, client_address)
        try:
            tls.unwrap()
        except (OSError, ssl.SSLError, ValueError):
            pass

    def handle_error(self, request, client_address):
        pass    # a client that went away


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        ca = self.server.ca
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = self.path.strip("/").split("/")
        plan = ca.plans.get(parts[0])
        if plan and len(parts) > 1 and parts[1] in plan.hang:
            ca.log.append((time.time(), parts[0], parts[1], None))
            time.sleep(60)
        status, found, fields = ca.answer(self.command, self.path, body)
        raw = found if isinstance(found, bytes) else json.dumps(found).encode()
        kind = "application/problem+json" if status >= 400 else "application/json"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Replay-Nonce", ca.nonce())
        self.send_header("Link", f'<{ca.origin}/x/dir>;rel="index"')
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    do_GET = do_HEAD = do_POST = respond

    def log_message(self, *_):
        pass


# ---- pebble -----------------------------------------------------------------------------------


class Pebble:
    """Debian's pebble, validating on the given ports, and its DNS server: every name is 127.0.0.1."""

    def __init__(self, folder, http_port, tls_port, eab=None, nonce_reject=20, reuse=0, ocsp_url=""):
        self.web = Authority(folder, "pebble web")
        cert = self.web.issue("localhost", "127.0.0.1")
        self.ca_file = self.web.file
        self.port, self.manage, self.dns, self.dns_control = (free_port() for _ in range(4))
        self.config = f"{folder}/pebble-{self.port}.json"
        self.log_file = f"{folder}/pebble-{self.port}.log"
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump({"pebble": {
                "listenAddress": f"127.0.0.1:{self.port}",
                "managementListenAddress": f"127.0.0.1:{self.manage}",
                "certificate": cert.cert, "privateKey": cert.key, "httpPort": http_port,
                "tlsPort": tls_port, "ocspResponderURL": ocsp_url,
                "externalAccountBindingRequired": bool(eab),
                "externalAccountMACKeys": eab or {}}}, file)
        self.env = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": str(reuse),
                    "PEBBLE_WFE_NONCEREJECT": str(nonce_reject)}
        self.dns_server = self.run("pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.dns}",
                                   "-management", f"127.0.0.1:{self.dns_control}", "-http01", "",
                                   "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1",
                                   "-defaultIPv6", "")
        self.start()

    @staticmethod
    def available():
        return bool(shutil.which("pebble") and shutil.which("pebble-challtestsrv"))

    def run(self, *command):
        with open(self.log_file, "ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    env=self.env)

    def start(self):
        """Also again after stop_ca(): pebble then has forgotten everything."""
        self.process = self.run("pebble", "-config", self.config, "-dnsserver",
                                f"127.0.0.1:{self.dns}")
        until(self.ready, "pebble listens")

    def ready(self):
        ended = [one.args[0] for one in (self.process, self.dns_server) if one.poll() is not None]
        assert not ended, f"{ended} ended: {self.log}"
        return all(map(self.listens, (self.port, self.manage, self.dns_control)))

    @staticmethod
    def listens(port):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    def directory(self):
        return f"https://localhost:{self.port}/dir"

    def issuer(self, **more):
        return {"directory": self.directory(), "ca": self.ca_file, **more}

    def fetch(self, path):
        context = self.web.client_context()
        with urllib.request.urlopen(f"https://localhost:{self.manage}/{path}", context=context) as got:
            return got.read()

    def root(self):
        """The PEM of the root that its certificates lead to."""
        return self.fetch("roots/0").decode()

    def control(self, what, **body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.dns_control}/{what}",
                                         json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request) as got:
            return got.read()

    @property
    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop_ca(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.stop_ca()
        self.dns_server.kill()
        self.dns_server.wait()


# ---- as a program -------------------------------------------------------------------------------


def named_plans(ca):
    plans = {
        "plain": Plan(),
        "ari": Plan(window=(-3600, 3600), window_retry=120),
        "profiles": Plan(profiles={"classic": "the usual", "shortlived": "six days"}),
        "eab": Plan(eab={"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}),
        "rate": Plan(order_problem=Problem("rateLimited", 429, "too many already", 3600)),
        "rate-date": Plan(order_problem=Problem("rateLimited", 429, "too many already",
                                                "Fri, 01 Jan 2100 00:00:00 GMT")),
        "caa": Plan(challenge_problem={"http-01": Problem("caa"), "tls-alpn-01": Problem("caa")}),
        "fussy": Plan(challenge_problem={"tls-alpn-01": Problem("connection")}),
        "blind": Plan(challenge_problem={"tls-alpn-01": Problem("connection"),
                                         "http-01": Problem("unauthorized", detail="got a 404")}),
        "rejected": Plan(order_problem=Problem("rejectedIdentifier", 400, subproblems=[
            {"type": URN + "rejectedIdentifier", "detail": "on a list",
             "identifier": {"type": "dns", "value": "two.example"}}])),
        "reused": Plan(reused=True),
        "slow": Plan(processing=2, processing_retry=1),
        "never": Plan(processing=10 ** 6),
        "nonces": Plan(bad_nonces=5),
        "no-nonce": Plan(bad_nonces=10 ** 6),
        "outage": Plan(outage=2),
        "replaced": Plan(window=(1, 2), replaces_problem=Problem("alreadyReplaced", 409)),
        "other-name": Plan(other_name="evil.example"),
        "other-key": Plan(other_key=True),
        "dns-only": Plan(offers=("dns-01",)),
        "unknown-only": Plan(offers=("odd-01",)),
        "bad-csr": Plan(finalize_problem=Problem("badCSR", 400)),
        "junk-dir": Plan(junk={"dir": b"<html>"}),
        "huge-dir": Plan(junk={"dir": b"x" * 300000}),
        "junk-order": Plan(junk={"order": b"{}"}),
        "junk-authz": Plan(junk={"authz": b"[]"}),
        "junk-cert": Plan(junk={"cert": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}),
        "junk-ari": Plan(window=(1, 2), junk={"ari": b"{}"}),
        "hang": Plan(hang=("dir",)),
        "hang-order": Plan(hang=("order",)),
    }
    ca.plans.update(plans)
    return plans


def main():
    folder = sys.argv[1]
    ca = AcmeCA(folder)
    named_plans(ca)
    print(ca.origin, ca.ca_file, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
