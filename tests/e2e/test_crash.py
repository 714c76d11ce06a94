# SPDX-License-Identifier: Apache-2.0
"""kill -9 and worse: connections wait in the kernel's queue and service comes back by itself."""
import os
import re
import signal
import threading

import pytest

from harness import Client, proc, reply, until


def kill_worker(way):
    pid = way.worker_pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not proc.alive(pid), "its end")   # Until then it may still accept.
    return pid


def back(way, old):
    """Waits for a new worker; its pid."""
    def new():
        done = way.command("status", "--json")
        match = re.search(r'"pid"\s*:\s*(\d+)', done.stdout[done.stdout.find('"worker"'):])
        return match and int(match[1]) not in (0, old) and int(match[1])
    return until(new, "a new worker")


def test_service_comes_back(edge, origin):
    way = edge(proxy=origin())
    assert way.get().status == 200
    old = kill_worker(way)
    assert way.get().status == 200
    assert back(way, old) != old
    way.wait_log(r"worker.*(killed|died|signal 9|exited)")


def test_the_accept_queue_is_kept(edge, origin):
    """Connections made while there is no worker are served by the next one: none is refused."""
    way = edge(proxy=origin(), workers=2)
    os.kill(way.worker_pid, signal.SIGKILL)
    clients = [way.client() for _ in range(50)]
    for client in clients:
        client.ask("GET")
    lost = 0
    for client in clients:
        try:
            assert client.answer().status == 200
        except (EOFError, OSError):
            lost += 1   # It had been accepted in the instant before the end.
        client.close()
    assert lost <= 2


def test_kill_under_load(edge, origin):
    """Every request fails only if it was in the dying worker, and each client goes on at once."""
    way = edge(proxy=origin(), workers=2)
    stop, answers, cut, refused = threading.Event(), [], [], []

    def run():
        client = None
        while not stop.is_set():
            try:
                client = client or way.client()
            except OSError as error:
                refused.append(error)
                continue
            try:
                answers.append(client.get().status)
            except (OSError, EOFError):
                cut.append(1)
                client = None
    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        pid = way.worker_pid
        seen = len(answers)
        os.kill(pid, signal.SIGKILL)
        back(way, pid)
        until(lambda: len(answers) > seen + 50, "traffic after the crash")
    stop.set()
    for thread in threads:
        thread.join()
    assert not refused, "the listening socket never went away"
    assert set(answers) == {200}
    assert len(cut) <= 8 * 3


def test_a_crash_loop_gives_up_with_a_message_and_a_code(edge, origin):
    way = edge(proxy=origin(), expect_exit=1)
    seen = set()
    while way.running():
        workers = [p for p in proc.descendants(way.process.pid) if is_worker(p)]
        for pid in workers:
            seen.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        assert len(seen) < 200, "it starts workers for ever"
        threading.Event().wait(0.01)
    assert way.wait_exit() == 1
    assert 3 <= len(seen)
    way.wait_log("(?i)giv(es|ing|e) up|crash loop|too many")
    assert not proc.in_session(way.process.pid)


def is_worker(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            name = file.read()
        with open(f"/proc/{pid}/comm", "rb") as file:
            name += file.read()
    except OSError:
        return False
    return b"worker" in name


def test_the_keeper_may_die_too(edge):
    way = edge({"sites": {"default": {"respond": "old"}}})
    worker = way.worker_pid
    for pid in way.processes()[1:]:
        if pid != worker:
            os.kill(pid, signal.SIGKILL)
    assert way.get().body == b"old"
    assert way.worker_pid == worker

    def reloaded():
        way.write({"sites": {"default": {"respond": "new"}}})
        return way.command("reload").returncode == 0
    until(reloaded, "a reload by a new keeper")
    assert way.get().body == b"new"


def test_when_the_supervisor_dies_nothing_is_left(edge, origin):
    way = edge(proxy=origin(), expect_exit=-signal.SIGKILL)
    assert way.get().status == 200
    os.kill(way.process.pid, signal.SIGKILL)
    way.wait_exit()
    until(lambda: not proc.in_session(way.process.pid), "the end of its children")


def test_after_a_crash_the_configuration_is_the_one_in_force(edge):
    way = edge({"sites": {"default": {"respond": "old"}}})
    way.reload({"sites": {"default": {"respond": "new"}}})
    way.write("sites: [")
    old = kill_worker(way)
    back(way, old)
    assert way.get().body == b"new", "a broken file on disk is nothing to a running server"


def test_clients_of_a_dead_worker_see_an_end(edge, origin):
    hold = threading.Event()
    app = origin(lambda request: hold.wait(20) and reply(200))
    way = edge(proxy=app)
    with Client(way.at) as client:
        client.ask("GET")
        app.wait_requests(1)
        kill_worker(way)
        assert client.at_end()
    hold.set()


@pytest.mark.release
@pytest.mark.parametrize("fault", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL])
def test_a_fault_is_told_and_mended(edge, origin, fault):
    """What a broken worker leaves is one line with the cause, and nothing that a client said."""
    way = edge(proxy=origin())
    assert way.get("/?password=hush", [("Authorization", "hush")]).status == 200
    old = way.worker_pid
    os.kill(old, fault)
    until(lambda: not proc.alive(old), "its end")
    assert back(way, old) != old
    assert way.get().status == 200
    assert "hush" not in way.log
    way.wait_log(rf"worker.*pid={old} signal={int(fault)}")
    way.forgive()


@pytest.mark.parametrize("who", ["worker", "keeper"])
def test_a_process_that_hangs_does_not_prevent_the_end(edge, origin, who):
    way = edge(proxy=origin(), drain="300ms", expect_exit=None)
    worker = way.worker_pid
    keeper = next(pid for pid in way.processes()[1:] if pid != worker)
    assert way.get().status == 200
    os.kill(worker if who == "worker" else keeper, signal.SIGSTOP)
    way.signal(signal.SIGTERM)
    assert way.wait_exit(20) in (0, 1)
    until(lambda: not proc.in_session(way.process.pid), "the end of its processes")
