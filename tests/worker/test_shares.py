"""The memory of a worker: a large fit takes several slots' shares, in its turn, and nobody waits for good."""

from __future__ import annotations

import threading

from gpu_worker.shares import Shares
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from tests.waiting import wait_for
from tests.worker.cast import record, take_one
from webapp.restorations.models import Job
from webapp.restorations.states import ItemKind

MB = 2**20


def never() -> bool:
    return False


def test_a_run_takes_the_shares_that_its_network_needs() -> None:
    shares = Shares(4, 100 * MB)
    assert [shares.wanted(need * MB) for need in (0, 50, 100, 200, 4000)] == [1, 1, 2, 3, 4]
    with shares.taken(100 * MB, never) as limit:
        assert limit == 200 * MB
    by_hand = Shares(4, 100 * MB, several=False)
    assert by_hand.wanted(4000 * MB) == 1, "a limit that is set by hand is one evaluation's"


def test_who_asks_first_is_served_first() -> None:
    shares, served = Shares(2, 100 * MB), []

    def run(name: str, need: int) -> None:
        with shares.taken(need * MB, never) as limit:
            served.append((name, limit))

    with shares.taken(10 * MB, never):
        large = threading.Thread(target=run, args=("large", 150))
        large.start()
        wait_for(lambda: len(shares._waiting) == 1, 10, "the large one to wait for the other share")
        small = threading.Thread(target=run, args=("small", 10))
        small.start()
        wait_for(lambda: len(shares._waiting) == 2, 10, "the small one to wait behind it")
        assert served == [], "there is a share for the small one, but it is not its turn"
    for thread in (large, small):
        thread.join(10)
    assert served == [("large", 200 * MB), ("small", 100 * MB)]


def test_who_gives_up_keeps_nobody_waiting() -> None:
    shares, limits = Shares(2, 100 * MB), []
    gone = threading.Event()

    def run(need: int, gives_up: object) -> None:
        with shares.taken(need * MB, gives_up) as limit:  # type: ignore[arg-type]
            limits.append(limit)

    with shares.taken(10 * MB, never):
        large = threading.Thread(target=run, args=(150, gone.is_set))
        large.start()
        wait_for(lambda: len(shares._waiting) == 1, 10, "the large one to wait")
        gone.set()
        large.join(10)
        assert limits == [None]
        run(10, never)
    assert limits == [None, 100 * MB]
    with shares.taken(150 * MB, never) as limit:
        assert limit == 200 * MB, "everything came back"


def test_a_lease_tells_what_its_fit_needs(job: Job) -> None:
    opening = take_one()
    assert opening.memory_need == 0, "it trains nothing"
    assert record(opening)
    lease = take_one()
    assert lease.kind is ItemKind.EVALUATE
    phenotype = Genome.parse(lease.genome).phenotype()
    search = (Job.objects.get(pk=job.pk).frames or {})["search"]
    assert lease.memory_need == cost(phenotype, search["height"], search["width"], 32).peak_bytes
