from __future__ import annotations

from dejalog.daemon.sources.timing import DEFAULT_TIMING


def test_a_copy_has_settled_and_was_listed_before_its_original_is_given_up() -> None:
    timing = DEFAULT_TIMING
    assert timing.replaced_wait_s >= timing.settle_s + timing.scan_s
    assert timing.partial_line_s > timing.idle_flush_s > timing.poll_interval_s
