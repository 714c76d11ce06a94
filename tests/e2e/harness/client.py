# SPDX-License-Identifier: Apache-2.0
"""A client that says exactly the bytes it is told to and reads answers strictly."""
from .wire import Answer, Cut, Wire, connect


def request(method, target, fields=(), body=None, host="example.com", version="HTTP/1.1"):
    """The bytes of a request. A body gets a Content-Length unless `fields` frame it."""
    lines = [f"{method} {target} {version}"]
    names = {name.lower() for name, _ in fields}
    if host is not None and "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in fields]
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def chunked(*parts, trailers=()):
    """A chunked body in the given parts."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return out + b"0\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in trailers) + b"\r\n"


class Client(Wire):
    host = "example.com"    # whom requests name that do not say otherwise

    def __init__(self, at, **options):
        super().__init__(connect(at, **options))
        self.methods = []

    def ask(self, method, target="/", fields=(), body=None, **options):
        """Sends a request and does not wait for the answer."""
        self.send(request(method, target, fields, body, **{"host": self.host, **options}))
        self.methods.append(method)
        return self

    def answer_head(self):
        """The next head, 1xx included."""
        return self.read_head(Answer)

    def answer(self, method=None):
        """The next final answer with its body; the 1xx before it are in its `interim`.

        Framing follows the oldest request asked with ask(), or the method given."""
        method = method or (self.methods.pop(0) if self.methods else "GET")
        interim = []
        while True:
            head = self.answer_head()
            if head.status >= 200 or head.status == 101:
                break
            interim.append(head)
        head.interim = interim
        return self.body_of(head, method)

    def body_of(self, head, method="GET"):
        framing = self.framing_of(head)
        if head.status in (101, 204, 304) or method == "HEAD":
            if head.status in (101, 204):
                assert framing is None, f"{head.status} with framing: {head.fields}"
            framing = 0
        return self.read_body(head, "close" if framing is None else framing)

    def exchange(self, method, target="/", fields=(), body=None, **options):
        """Asks and reads the answer."""
        return self.ask(method, target, fields, body, **options).answer()

    def get(self, target="/", fields=(), **options):
        return self.exchange("GET", target, fields, **options)

    def refused(self):
        """The answer to something refused: one answer, after which the edge closes."""
        answer = self.answer("GET")
        self.at_end()
        return answer

    def cut_body(self):
        """What arrived of a body that must end too early."""
        try:
            answer = self.answer()
        except Cut as cut:
            return cut.message.body
        raise AssertionError(f"the answer came whole: {answer}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
