# SPDX-License-Identifier: Apache-2.0
"""A name server of a few records, over UDP, that counts what it is asked."""
import dnslib
from dnslib.server import BaseResolver, DNSServer


class NameServer(BaseResolver):
    """`records` maps a name to a list of addresses; names that are not there do not exist.
    A name in `silent` gets no answer at all, one in `broken` that the server has failed. `texts` maps
    a name to the texts of its TXT records."""

    def __init__(self, ttl=1):
        self.records = {}
        self.texts = {}
        self.broken = set()
        self.ttl = ttl
        self.queries = []
        self.silent = set()
        self.server = DNSServer(self, address="127.0.0.1", port=0)
        self.port = self.server.server.server_address[1]
        self.at = f"127.0.0.1:{self.port}"
        self.server.start_thread()

    def resolve(self, request, handler):
        name = str(request.q.qname).rstrip(".").lower()
        kind = dnslib.QTYPE[request.q.qtype]
        self.queries.append((name, kind))
        answer = request.reply()
        if name in self.silent:
            raise TimeoutError(name)
        if name in self.broken:
            answer.header.rcode = dnslib.RCODE.SERVFAIL
            return answer
        if name not in self.records and name not in self.texts:
            answer.header.rcode = dnslib.RCODE.NXDOMAIN
        for text in self.texts.get(name, []) if kind == "TXT" else []:
            answer.add_answer(dnslib.RR(request.q.qname, dnslib.QTYPE.TXT, ttl=self.ttl,
                                        rdata=dnslib.TXT(text)))
        for address in self.records.get(name, []):
            if (kind == "AAAA") == (":" in address) and kind in ("A", "AAAA"):
                record = dnslib.AAAA(address) if kind == "AAAA" else dnslib.A(address)
                answer.add_answer(dnslib.RR(request.q.qname, getattr(dnslib.QTYPE, kind),
                                            ttl=self.ttl, rdata=record))
        return answer

    def stop(self):
        self.server.server.shutdown()
        self.server.server.server_close()
