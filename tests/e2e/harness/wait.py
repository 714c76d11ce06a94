# SPDX-License-Identifier: Apache-2.0
"""Waiting for conditions. No test sleeps for a time it hopes is long enough."""
import os
import time

# How long anything that should happen may take before the test says it did not. Generous,
# because the suite runs in parallel on small machines with sanitizers; never waited for in full
# by a test that passes.
WAIT = float(os.environ.get("ADIT_E2E_WAIT", "15"))


def until(condition, what="the condition", timeout=None):
    """Returns the first true value of condition(); fails naming `what` when none comes in time."""
    end = time.monotonic() + (timeout or WAIT)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: did not happen within {timeout or WAIT:g} s")
        time.sleep(0.005)
