"""How long a conversion takes, and how long others wait meanwhile.

STOGRAM_TEST_CITUS_URL=postgresql://... python -m tests.citus --messages 1000000
"""

from __future__ import annotations

import argparse
import time

from tests.citus.cluster import cluster_of_the_environment
from tests.support.distributed import Writers, fill, rows_of
from tests.support.states import migrate_here, stogram


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=1_000_000)
    messages = arguments.parse_args().messages
    with cluster_of_the_environment().database() as url:
        migrate_here(url)
        fill(url, messages)
        assert stogram(url, "distribute", "--prepare").returncode == 0
        before, writers = rows_of(url), Writers(url)
        with writers.at_work():
            time.sleep(2)
            usual = max(writers.waits)
            began = time.monotonic()
            done = stogram(url, "distribute")
            seconds = time.monotonic() - began
            time.sleep(2)
        print(done.stdout[-500:], done.stderr)
        after, expected = rows_of(url), writers.expected(before)
        lost = sum(len(set(expected[each]) - set(after[each])) for each in expected)
        more = sum(len(set(after[each]) - set(expected[each])) for each in expected)
        print(
            f"{messages:,} messages: {seconds:.0f} s, {len(writers.waits):,} statements beside it, "
            f"{len(writers.failed)} failed, the longest took {max(writers.waits):.2f} s "
            f"(before: {usual:.2f} s); rows lost: {lost}, too many: {more}"
        )
        print("\n".join(writers.failed[:5]))
        print(stogram(url, "check").stdout[-300:])


if __name__ == "__main__":
    main()
