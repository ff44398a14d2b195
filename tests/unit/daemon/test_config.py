from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon import config
from dejalog.indexer.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "dejalog.toml"
    path.write_text(text)
    return path


def test_each_layer_beats_the_one_below_it_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "[ingest]\nbatch_events = 1\nbatch_bytes = 1\nflush_interval_s = 1\n")
    environment = {"DEJALOG_INGEST__BATCH_BYTES": "2", "DEJALOG_INGEST__FLUSH_INTERVAL_S": "2.5"}
    flags = [config.flag("ingest", "flush_interval_s", "3", "--set")]
    loaded = config.load(path, environment=environment, flags=flags)
    ingest = loaded.settings.ingest
    assert (ingest.batch_events, ingest.batch_bytes, ingest.flush_interval_s) == (1, 2, 3.0)
    assert [loaded.origins[f"ingest.{k}"] for k in ("batch_events", "batch_bytes")] == [
        str(path),
        "environment DEJALOG_INGEST__BATCH_BYTES",
    ]
    assert loaded.origins["ingest.flush_interval_s"] == "flag --set"
    assert loaded.origins["server.listen"] == "default"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[ingest]\nbatch_event = 1",
            r"ingest\.batch_event: unknown key; did you mean batch_events",
        ),
        ("[servr]\nlisten = ''", "servr: unknown section; did you mean server"),
        ("[zzz]\nx = 1", "known: data, encoder"),
        ("directory = 'x'", "outside of a"),
        ("[ingest]\nbatch_events = 'many'", "ingest.batch_events: Expected `int`"),
        ("[ingest]\nbatch_events = -1", "must be a number of at least 1"),
        ("[data]\ndirectory = '${DEJALOG_UNSET_NAME}'", "environment has no DEJALOG_UNSET_NAME"),
        ("[data\n", "is not TOML"),
        # These showed tracebacks.
        ("[data]\ndirectory = " + "[" * 20_000, "file: is nested too deeply"),
        ("[data]\ndirectory" + ".a" * 5_000 + " = 1", "directory: is nested too deeply"),
        ("[server]\nsearch_threads = " + "9" * 5_000, "is not TOML: Exceeds the limit"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.load(write(tmp_path, text), environment={})


def test_variables_are_filled_in_from_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, "[data]\ndirectory = '${ROOT_DIR}/${NAME:-dejalog}'")
    loaded = config.load(path, environment={"ROOT_DIR": "/srv"})
    assert loaded.settings.data.directory == "/srv/dejalog"


def test_a_mistake_in_tables_that_are_given_as_text_shows_no_secret() -> None:
    """The whole text was shown, with the secrets of all tables."""
    tables = '[{"name": "a", "query": "x", "deliver": 5, "secret": "GEHEIM"}]'
    with pytest.raises(ConfigError, match="deliver") as caught:
        config.load(environment={"DEJALOG_ALERTS__QUERIES": tables})
    assert "GEHEIM" not in str(caught.value)
    assert "(set)" in str(caught.value)


def test_a_list_in_the_environment_is_separated_like_a_path() -> None:
    loaded = config.load(environment={"DEJALOG_SOURCES__FILES": "/a.log:/b/*.log"})
    assert loaded.settings.sources.files == ("/a.log", "/b/*.log")


def test_one_path_may_be_written_without_brackets(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, "[sources]\nfiles = 'a.log'"), environment={})
    assert loaded.settings.sources.files == ("a.log",)


def test_other_variables_of_ours_are_not_settings() -> None:
    assert config.load(environment={"DEJALOG_KERNEL": "reference"}).settings == config.Settings()


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "none.toml", environment={})


@given(
    st.one_of(
        st.booleans(),
        st.integers(-(2**60), 2**60),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f")),
        st.lists(st.text(st.characters(codec="ascii", exclude_characters="\x7f"))).map(tuple),
    )
)
def test_a_value_is_written_as_toml_reads_it(value: object) -> None:
    read = tomllib.loads(f"x = {config.to_toml(value)}")["x"]
    assert (tuple(read) if isinstance(value, tuple) else read) == value


NUMBERS = [
    (f"{section}.{key}", config.default_of(section, key))
    for section, key in config.all_keys()
    if type(config.default_of(section, key)) in (int, float)
]


@pytest.mark.parametrize(("name", "default"), NUMBERS)
def test_a_number_below_its_least_value_is_refused_and_told_it(name: str, default: float) -> None:
    """batch_events = 0 and flush_interval_s = 0 or nan hung the daemon; search_threads = 0 broke
    it with a ValueError of the thread pool."""
    section, key = name.split(".")
    least = config.LEAST.get(name, 1)
    too_small = [str(least - 1)]
    if isinstance(default, float):
        too_small += [str(least - 0.0001), "nan", "inf", "-inf"]
    for value in too_small:
        with pytest.raises(ConfigError, match=rf"{name}: must be a number of at least {least}"):
            config.load(environment={}, flags=[config.flag(section, key, value, "--set")])
    flag = config.flag(section, key, type(default)(least), "--set")
    settings = config.load(environment={}, flags=[flag]).settings
    assert getattr(getattr(settings, section), key) == least


def test_nan_and_inf_of_a_file_are_refused(tmp_path: Path) -> None:
    """TOML has both as numbers, and no comparison with nan is true."""
    for value in ("nan", "inf"):
        with pytest.raises(ConfigError, match="at least"):
            config.load(write(tmp_path, f"[server]\nsearch_timeout_s = {value}"), environment={})


@pytest.mark.parametrize("name", config.MOST)
def test_a_number_above_its_greatest_value_is_refused_and_told_it(name: str) -> None:
    """A time of 1e300 seconds was an OverflowError in a thread, and shard.bytes_max could be more
    than what LMDB maps, so that a shard filled up before it was left alone."""
    section, key = name.split(".")
    flag = config.flag(section, key, int(config.MOST[name]) + 1, "--set")
    with pytest.raises(ConfigError, match=rf"{name}: must be at most {config.MOST[name]}"):
        config.load(environment={}, flags=[flag])
