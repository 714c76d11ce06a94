# SPDX-License-Identifier: Apache-2.0
"""A house of its own for agents: a network with nothing but a cable to the test's, which can be pulled.

    def story():
        with House() as house:
            Agent(way, 3000, prefix=house.inside)       # lives there; what it calls is house.edge
            house.pull(); house.plug()                  # silence: packets go nowhere
            house.break_connections()                   # every TCP connection of the house ends with a RST
    alone(story)                                        # harness/network.py: the test's side of the cable

Both ends are networks that the test made, so no packet leaves them. Needs root or what unshare takes.
"""
import os
import subprocess
import tempfile

from .wait import until


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class House:
    edge, agent = "10.213.0.1", "10.213.0.2"

    def __init__(self, *names):
        """`names` are the edge's, as far as the house knows."""
        self.hosts = tempfile.NamedTemporaryFile("w", prefix="adit-hosts-")
        os.chmod(self.hosts.name, 0o644)
        self.hosts.write(f"127.0.0.1 localhost\n{self.edge} {' '.join(names)}\n")
        self.hosts.flush()
        # What this holds is a network: it goes away, and the cable with it, when the process ends.
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c",
             f"mount --bind {self.hosts.name} /etc/hosts && exec sleep infinity"])
        until(self.is_built, "the house's network")
        space = f"/proc/{self.holder.pid}/ns"
        self.inside = ["nsenter", f"--net={space}/net", f"--mount={space}/mnt"]
        run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "plug", "netns",
            str(self.holder.pid))
        run("ip", "address", "add", self.edge + "/24", "dev", "cable")
        run("ip", "link", "set", "cable", "up")
        self.do("ip", "address", "add", self.agent + "/24", "dev", "plug")
        self.do("ip", "link", "set", "lo", "up")
        self.do("ip", "link", "set", "plug", "up")

    def is_built(self):
        with open(f"/proc/{self.holder.pid}/comm", encoding="ascii") as file:
            return file.read() == "sleep\n"

    def do(self, *command):
        """Runs something there."""
        return run(*self.inside, *command)

    def pull(self):
        run("ip", "link", "set", "cable", "down")

    def plug(self):
        run("ip", "link", "set", "cable", "up")

    def break_connections(self):
        """As when a router forgets what it translated: both ends are told at the next packet."""
        self.do("ss", "-K", "dst", self.edge)
        run("ss", "-K", "dst", self.agent)

    def move(self):
        """Another network: what the agent has open leads nowhere any more, and nobody says so."""
        old, last = self.agent, int(self.agent.rsplit(".", 1)[1])
        self.agent = f"10.213.0.{last % 200 + 2}"
        self.do("ip", "address", "del", old + "/24", "dev", "plug")
        self.do("ip", "address", "add", self.agent + "/24", "dev", "plug")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        self.hosts.close()
