# SPDX-License-Identifier: Apache-2.0
"""YAML's traps are closed: each line that would mean something else than it says is an error with a
hint, and each that looks odd but is fine is accepted."""
import json
import re

import pytest

from harness import run_adit

SITE = "sites: {a.test: {respond: x}}\n"
# What stands in the file, where the error must be, a word of the message.
ERRORS = {
    "duplicate key": ("workers: 1\nworkers: 2\n" + SITE, "2:1", "twice|duplicate|already"),
    "duplicate site": ("sites:\n  a.test: {respond: x}\n  a.test: {respond: y}\n", "3:3",
                       "twice|duplicate|already"),
    "the same site in capitals": ("sites:\n  a.test: {respond: x}\n  A.test: {respond: y}\n", "3:3",
                                  "twice|duplicate|already"),
    "anchor": ("workers: &w 1\n" + SITE, "1:", "anchor|quote"),
    "alias": ("log: *x\n" + SITE, "1:", "alias|anchor|quote"),
    "merge key": ("sites:\n  a.test: {<<: {respond: x}}\n", "2:", "merge|<<"),
    "tag": ("workers: !!int 1\n" + SITE, "1:", "tag|quote"),
    "own tag": ("log: !env LEVEL\n" + SITE, "1:", "tag|quote"),
    "null by nothing": ("workers:\n" + SITE, "1:", "value|empty|null"),
    "null by tilde": ("workers: ~\n" + SITE, "1:", "null|quote"),
    "null by word": ("log: null\n" + SITE, "1:", "null|quote|one of"),
    "several documents": (SITE + "---\n" + SITE, "2:", "document"),
    "tab as indentation": ("sites:\n\ta.test: {respond: x}\n", "2:", "tab|indent|invalid"),
    "list where a map is": ("sites: [a.test]\n", "1:", "map|mapping|list|site"),
    "map where a text is": ("log: {level: info}\n" + SITE, "1:", "map|one of|word|text"),
    "size without a unit that is one": ("limits: {header_size: 32XB}\n" + SITE, "1:", "unit|size"),
    "duration without unit": ("timeouts: {idle: 60}\n" + SITE, "1:", "unit|duration|60s"),
    "negative duration": ("timeouts: {idle: -5s}\n" + SITE, "1:", "duration|negative|range"),
    "number out of range": ("workers: 100000\n" + SITE, "1:", "range|256|between|most"),
    "number that is not": ("workers: many\n" + SITE, "1:", "number|auto"),
    "octal-looking number": ("workers: 0o7\n" + SITE, "1:", "number|auto"),
    "underscored number": ("connections: 1_000\n" + SITE, "1:", "number"),
    "port out of range": ("listen: 127.0.0.1:65536\n" + SITE, "1:", "port|65535"),
    "sexagesimal-looking address": ("listen: 22:22:22\n" + SITE, "1:", "address|port"),
    "host with a port": ("sites: {'a.test:80': {respond: x}}\n", "1:", "port"),
    "host with a scheme": ("sites: {'http://a.test': {respond: x}}\n", "1:", "host|scheme|name"),
    "wildcard in the middle": ("sites: {'a.*.test': {respond: x}}\n", "1:", "wildcard|\\*"),
    "two actions": ("sites: {a.test: {respond: x, proxy: 3000}}\n", "1:", "one|both|action"),
    "upstream that is not there": ("sites: {a.test: {proxy: backend}}\n", "1:", "backend|upstream"),
    "snippet that is not there": ("sites: {a.test: {use: ghost, respond: x}}\n", "1:",
                                  "ghost|snippet"),
    "path without slash": ("sites: {a.test: {routes: [{path: a, respond: x}]}}\n", "1:", "/"),
    "bad expression": ("sites: {a.test: {routes: [{path: '~ (', respond: x}]}}\n", "1:",
                       "parenthes|expression|regex|missing"),
    "unknown variable": ("sites: {a.test: {respond: '$nonsense'}}\n", "1:", "nonsense|variable"),
    "open variable": ("sites: {a.test: {respond: '$header(x'}}\n", "1:", "\\)|header|close"),
    "bad network": ("trusted_proxies: [10.0.0.0/33]\n" + SITE, "1:", "network|33|mask|prefix"),
    "network with host bits": ("trusted_proxies: [10.0.0.1/8]\n" + SITE, None, ""),
    "method with a space": ("sites: {a.test: {routes: [{method: 'GET POST', respond: x}]}}\n", "1:",
                            "method|token"),
    "bad field name": ("sites: {a.test: {respond: x, headers: {response: {set: {'a b': c}}}}}\n",
                       "1:", "field|name|token"),
    "field with a line break": (
        'sites: {a.test: {respond: x, headers: {response: {set: {a: "b\\r\\nc"}}}}}\n', "1:",
        "line|control|break|byte"),
    "status out of range": ("sites: {a.test: {respond: 999}}\n", "1:", "status|range|599"),
    "redirect that is none": ("sites: {a.test: {redirect: {to: /x, status: 200}}}\n", "1:",
                              "30|status|one of|range"),
    "empty list": ("upstreams: {a: {servers: []}}\n" + SITE, "1:", "server|empty|least"),
    "include of nothing": ("include: nowhere/a.yaml\n" + SITE, "1:", "nowhere|file"),
    "tls by a word that is none": ("sites: {a.test: {tls: yes, respond: x}}\n", "1:", "auto|local|off"),
    "certificate without its key": ("sites: {a.test: {tls: {cert: a.pem}, respond: x}}\n", "1:",
                                    "key"),
    "certificate in place of its path": (
        "sites: {a.test: {tls: {cert: '-----BEGIN', key: k}, respond: x}}\n", "1:", "path of a file"),
    "certificate for all sites": ("tls: {cert: a.pem, key: a.key}\n" + SITE, "1:", "of a site"),
    "old TLS": ("tls: {min_version: '1.1'}\n" + SITE, "1:", "1.2"),
    "clients without a CA": ("tls: {client: required}\n" + SITE, "1:", "ca"),
    "wildcard without a DNS hook": ("sites: {'*.example.com': {tls: on, respond: x}}\nlisten: 443\n",
                                    "1:", "DNS hook"),
    "public CA for a private name": ("sites: {a.test: {tls: acme, respond: x}}\n", "1:", "public CA"),
    "on demand for anybody": ("sites: {default: {tls: {on_demand: on}, respond: x}}\n", "1:", "ask"),
    "issuer that is not known": ("acme: {issuers: letsencript}\n" + SITE, "1:", "letsencrypt"),
    "account that is missing": ("acme: {issuers: zerossl}\n" + SITE, "1:", "eab"),
    "TLS listener for nobody": ("listen: 443\nsites: {a.test: {tls: off, respond: x}}\n", "1:",
                                "no site has TLS"),
    "preload by halves": ("tls: {hsts: {preload: on}}\n" + SITE, "1:", "subdomains"),
    "hook without its directory": ("acme: {dns: hook}\nsites: {'*.example.com': {respond: x}}\n",
                                   None, ""),
    "TLS settings for clear origins": (
        "upstreams: {a: {servers: '10.0.0.1:80', tls: {name: x}}}\nsites: {a.test: {proxy: a}}\n",
        "1:", "https://"),
    "h2c that is to be HTTP/1.1": (
        "upstreams: {a: {servers: 'h2c://10.0.0.1', protocol: http/1.1}}\n"
        "sites: {a.test: {proxy: a}}\n", "1:", "HTTP/2"),
    "scheme that is none": ("sites: {a.test: {proxy: 'grpc://10.0.0.1:1'}}\n", "1:", "h2c"),
    "path behind an https origin": ("sites: {a.test: {proxy: 'https://x/y'}}\n", "1:", "path"),
    "handshake time of a site": ("sites: {a.test: {timeouts: {handshake: 1s}, respond: x}}\n", "1:",
                                 "top level"),
    "control byte": ('log: "in\\0fo"\n' + SITE, "1:", ""),
    "site in the wrong place": ("a.test: {respond: x}\n", "1:1", "unknown|sites"),
    "directive in the wrong place": ("sites: {a.test: {workers: 2, respond: x}}\n", "1:",
                                     "workers|here|top"),
}
FINE = {
    "on and off in all their words": "via: on\nsites: {a.test: {respond: x, compress: off}}\n"
                                     "# true and false as well\n",
    "true and false": "via: true\nsites: {a.test: {respond: x, compress: false}}\n",
    "yes is a text": "sites: {a.test: {respond: yes}}\n",
    "a number is a text where a text is wanted": "sites: {a.test: {respond: '200'}}\n",
    "a country like Norway": "sites: {no: {respond: no}}\n",
    "a version number": "sites: {a.test: {headers: {response: {set: {x-v: 1.10}}}, respond: x}}\n",
    "a leading zero": "sites: {a.test: {headers: {response: {set: {x-v: 0123}}}, respond: x}}\n",
    "IPv6 without brackets in a list": "trusted_proxies: [::1, 2001:db8::/32]\n" + SITE,
    "IPv6 listener": "listen: '[::1]:8080'\n" + SITE,
    "JSON": json.dumps({"sites": {"a.test": {"respond": "x"}}, "listen": [":8080"]}),
    "a comment with everything": "# !&*|>@%`\n" + SITE,
    "byte order mark": "\ufeff" + SITE,
    "CRLF line ends": SITE.replace("\n", "\r\n"),
    "no last line end": SITE.rstrip(),
    "block text": "sites:\n  a.test:\n    respond: |\n      two\n      lines\n",
    "quoted star": "sites: {'*.a.test': {respond: x}}\n",
    "default": "sites: {default: {respond: x}}\n",
    "units of all kinds": "timeouts: {idle: 90s, read: 2m, tunnel: 1h, connect: 500ms}\n"
                          "limits: {header_size: 16KiB, body_size: 10MB}\n" + SITE,
    "dollar": "sites: {a.test: {respond: 'costs $$5'}}\n",
    "tls in all its forms": "sites: {a.test: {tls: local, respond: x}, b.test: {tls: off, respond: x},"
                            " c.test: {tls: {hsts: on}, respond: x}, d.test: {respond: x}}\n"
                            "listen: [80, {at: 8443, tls: on}]\n",
    "origins of all kinds": "sites: {a.test: {proxy: ['https://x', 'h2c://10.0.0.1:1', 'http://y']}}\n",
    "acme in short": "acme: me@example.com\n" + SITE,
    "tls in a snippet for sites and one for upstreams":
        "snippets: {s: {tls: {hsts: on}}, u: {tls: {name: app.internal}}}\n"
        "upstreams: {a: {use: u, servers: 'https://10.0.0.1'}}\nsites: {a.test: {use: s, proxy: a}}\n",
    "negated network": "sites: {a.test: {routes: [{client: [10.0.0.0/8, not 10.1.0.0/16], "
                       "respond: x}], respond: y}}\n",
}


def check(tmp_path, text):
    file = tmp_path / "adit.yaml"
    file.write_bytes(text.encode())
    return run_adit("check", file), str(file)


@pytest.mark.parametrize("name", ERRORS)
def test_trap(tmp_path, name):
    text, place, words = ERRORS[name]
    done, file = check(tmp_path, text)
    if place is None:       # Either way is right, as long as it does not fall over.
        assert done.returncode in (0, 3)
        return
    assert done.returncode == 3, f"accepted: {text}"
    assert f"{file}:{place}" in done.stderr, done.stderr
    assert re.search(words, done.stderr, re.I), done.stderr


@pytest.mark.parametrize("name", FINE)
def test_fine(tmp_path, name):
    done, _ = check(tmp_path, FINE[name])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", ["", "\n", "# only words\n", "[]", "just words", "{",
                                  "sites: {a: ", "\0", "\xff\xfe", "- " * 3000,
                                  "[" * 3000, "{a: " * 3000,
                                  "a: " * 500, "? " * 1000, '"' * 999, "%YAML 9.9\n---\n{}",
                                  "&a [*a]", "sites: " + "x" * 200_000],
                         ids=lambda text: repr(text[:20]))
def test_nonsense_is_an_error_and_never_a_crash(tmp_path, text):
    done, file = check(tmp_path, text)
    assert done.returncode in (0, 3)
    if done.returncode == 3:
        assert file in done.stderr
