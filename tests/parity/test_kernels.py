"""Every kernel that this machine can run gives the same bits as the NumPy twin.

Nothing here is skipped where a kernel is missing: a build without one that the processor could
run is a failed build.
"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dejalog.indexer.kernel import Kernel, Postings, available, reference
from dejalog.indexer.kernel.native import Native

TWIN = Kernel(reference)

#: What /proc/cpuinfo calls the features that each kernel needs.
FEATURES = {
    "vnni": {"avx512f", "avx512bw", "avx512vl", "avx512_vnni"},
    "avx2": {"avx2"},
    "neon": {"asimddp"},
    "portable": set(),
}
NATIVE = tuple(name for name in FEATURES if name in available())

seeds = st.integers(0, 2**32 - 1)
dims = st.sampled_from([24, 40, 48, 64, 96, 128, 384])
all_bits = st.sampled_from([1, 2, 4])


def same(found: Any, expected: Any) -> None:
    """Equal bits, but for the sign of zero."""
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            same(one, other)
        return
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_each_kernel_that_the_processor_supports_is_in_the_build() -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    words = {
        word
        for line in lines
        if line.startswith(("flags", "Features"))
        for word in line.split(":")[1].split()
    }
    expected = [name for name, needed in FEATURES.items() if needed <= words]
    assert list(available()) == [*expected, "reference"]
    assert platform.machine() in {"x86_64", "aarch64"}


@pytest.mark.parametrize("name", NATIVE)
@settings(deadline=None, max_examples=40)
@given(seed=seeds, dim=dims, bits=all_bits)
def test_fresh_vectors_score_as_in_the_twin(
    name: str, cases: ModuleType, seed: int, dim: int, bits: int
) -> None:
    case, kernel = cases.make_case(seed, dim, bits), Kernel(Native(name))
    fresh = (case.query, case.codes, case.scales)
    offsets = case.rows.offsets.astype(np.int64)
    for patterns in (None, case.patterns):
        same(
            kernel.maxsim(*fresh, offsets, patterns),
            TWIN.maxsim(*fresh, offsets, patterns),
        )
    same(kernel.best_rows(*fresh), TWIN.best_rows(*fresh))
    chosen = (case.patterns % len(case.codes)).astype(np.uint32)
    for rows in (None, chosen):
        same(
            kernel.row_dots(case.query[0], case.codes, case.scales, rows),
            TWIN.row_dots(case.query[0], case.codes, case.scales, rows),
        )


@pytest.mark.parametrize("name", NATIVE)
@settings(deadline=None, max_examples=40)
@given(seed=seeds, dim=dims, bits=all_bits)
def test_coded_vectors_score_as_in_the_twin(
    name: str, cases: ModuleType, seed: int, dim: int, bits: int
) -> None:
    case, kernel = cases.make_case(seed, dim, bits), Kernel(Native(name))
    prepared = TWIN.prepare(case.query, case.codebook)
    for patterns in (None, case.patterns):
        same(
            kernel.code_maxsim(prepared, case.rows, patterns),
            TWIN.code_maxsim(prepared, case.rows, patterns),
        )
        same(
            kernel.centroid_maxsim(prepared, case.rows, patterns),
            TWIN.centroid_maxsim(prepared, case.rows, patterns),
        )
    for pattern in np.flatnonzero(np.diff(case.rows.offsets.astype(np.int64)))[:3]:
        same(
            kernel.code_best_rows(prepared, case.rows, int(pattern)),
            TWIN.code_best_rows(prepared, case.rows, int(pattern)),
        )


@pytest.mark.parametrize("name", NATIVE)
@settings(deadline=None, max_examples=40)
@given(seed=seeds, dim=dims, bits=all_bits)
def test_queries_and_codes_are_made_as_in_the_twin(
    name: str, cases: ModuleType, seed: int, dim: int, bits: int
) -> None:
    case, kernel = cases.make_case(seed, dim, bits), Kernel(Native(name))
    book = case.codebook
    prepared, expected = kernel.prepare(case.query, book), TWIN.prepare(case.query, book)
    same(prepared.table[:, : len(book.centroids)], expected.table[:, : len(book.centroids)])
    same(prepared.rows, expected.rows)
    same(prepared.bias, expected.bias)
    assert (prepared.unit, prepared.shift) == (expected.unit, expected.shift)
    fresh = (case.codes, case.scales)
    same(
        kernel.nearest(*fresh, book.centroids, book.centroid_scales),
        TWIN.nearest(*fresh, book.centroids, book.centroid_scales),
    )
    same(
        kernel.encode(*fresh, book, case.centroid_ids),
        TWIN.encode(*fresh, book, case.centroid_ids),
    )


@pytest.mark.parametrize("name", NATIVE)
@settings(deadline=None, max_examples=40)
@given(seed=seeds, dim=dims)
def test_lists_are_probed_as_in_the_twin(name: str, cases: ModuleType, seed: int, dim: int) -> None:
    case, kernel = cases.make_case(seed, dim, 4), Kernel(Native(name))
    prepared = TWIN.prepare(case.query, case.codebook)
    found, probes = kernel.probed(prepared, case.probes), TWIN.probed(prepared, case.probes)
    same(found.centroids, probes.centroids)
    same(found.gains, probes.gains)
    for is_allowed in (None, case.is_allowed, case.is_allowed.astype(np.uint8)):
        same(
            kernel.probe(prepared, case.postings, case.pattern_count, probes, is_allowed),
            TWIN.probe(prepared, case.postings, case.pattern_count, probes, is_allowed),
        )


@pytest.mark.parametrize("name", NATIVE)
@settings(deadline=None, max_examples=100)
@given(
    seed=seeds,
    size=st.integers(0, 5_000),
    count=st.integers(0, 5_000),
    least_and_kind=st.tuples(
        st.sampled_from([None, -3, 0, 2.5]), st.sampled_from(["int", "float", "ascending"])
    ),
)
def test_the_best_scores_are_found_as_in_the_twin(
    name: str, seed: int, size: int, count: int, least_and_kind: tuple[float | None, str]
) -> None:
    least, kind = least_and_kind
    random = np.random.default_rng(seed)
    scores: np.ndarray[Any, Any] = random.integers(-5, 40, size).astype(np.int32)
    if kind == "ascending":
        scores = np.sort(scores)
    if kind == "float":
        scores = (scores / 3).astype(np.float32)
        scores[random.integers(0, size + 1, size // 9) % max(size, 1)] = np.nan
        scores[: size // 9] *= np.float32(-0.0)
    same(Kernel(Native(name)).top(scores, count, least), TWIN.top(scores, count, least))


@pytest.mark.parametrize("name", NATIVE)
@settings(deadline=None, max_examples=25)
@given(seed=seeds)
def test_damaged_lists_lead_nowhere(name: str, cases: ModuleType, seed: int) -> None:
    case, kernel = cases.make_case(seed, 48, 2), Kernel(Native(name))
    random = np.random.default_rng(seed)
    damaged = Postings(
        case.postings.starts,
        random.integers(0, 65_536, len(case.postings.patterns)).astype(np.uint16),
    )
    prepared = TWIN.prepare(case.query, case.codebook)
    scores = kernel.probe(prepared, damaged, case.pattern_count, case.probes)
    same(scores, TWIN.probe(prepared, unique(damaged), case.pattern_count, case.probes))


def unique(postings: Postings) -> Postings:
    """What the twin needs not, but states plainly: each pattern once."""
    lists = [
        np.unique(postings.patterns[start:end])
        for start, end in zip(postings.starts[:-1], postings.starts[1:], strict=True)
    ]
    starts = np.concatenate([[0], np.cumsum([len(patterns) for patterns in lists])])
    return Postings(starts.astype(np.uint32), np.concatenate(lists))


def test_files_of_an_instruction_set_share_no_function_with_the_others(tmp_path: Path) -> None:
    # The linker keeps one copy of a shared inline function: perhaps that of AVX-512, for all.
    kernel = Path(__file__).parents[2] / "indexer" / "kernel"
    flags = {"vnni": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"], "avx2": ["-mavx2"]}
    flags |= {"neon": ["-march=armv8.2-a+dotprod"]}
    for name in NATIVE:
        output = tmp_path / f"{name}.o"
        source = kernel / f"score_{name}.cpp"
        command = ["c++", "-std=c++17", "-O1", "-w", *flags.get(name, [])]
        subprocess.run([*command, "-c", source, "-o", output], check=True)
        listed = subprocess.check_output(["nm", "-g", "--defined-only", output], text=True)
        assert len(listed.splitlines()) == 1, listed


def test_the_harness_agrees_and_tells_when_it_does_not(tmp_path: Path, cases: ModuleType) -> None:
    script = Path(__file__).with_name("build_harness.sh")
    harness, good, bad = tmp_path / "harness", tmp_path / "good", tmp_path / "bad"
    subprocess.run([script, harness, "c++", "-O1"], check=True)
    cases.write_cases(good, (cases.make_case(seed, 48, 4) for seed in range(4)))
    done = subprocess.run([harness, good], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(" ".join(NATIVE))
    data = bytearray(good.read_bytes())
    data[-1] ^= 1  # of the last place that `top` finds
    bad.write_bytes(data)
    assert subprocess.run([harness, bad], capture_output=True, check=False).returncode == 1
