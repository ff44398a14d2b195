from __future__ import annotations

from dejalog.indexer.incidents.assets import Asset, AssetNumbers


def test_the_first_label_that_an_event_has_names_its_asset() -> None:
    numbers = AssetNumbers(("asset", "unit"))
    by_asset = numbers.number((("asset", "P-101"), ("unit", "north")))
    by_unit = numbers.number((("unit", "north"),))
    assert numbers.asset(by_asset) == Asset("asset", "P-101")
    assert numbers.asset(by_unit) == Asset("unit", "north")
    assert by_asset != by_unit
    assert numbers.number((("asset", "P-101"), ("author", "M. Silva"))) == by_asset


def test_the_case_of_a_value_makes_no_other_asset() -> None:
    numbers = AssetNumbers(("asset",))
    first = numbers.number((("asset", "Pump P-101"),))
    assert numbers.number((("asset", "PUMP p-101"),)) == first
    assert numbers.asset(first).value == "Pump P-101"


def test_events_that_name_no_asset_belong_to_their_file() -> None:
    numbers = AssetNumbers(("asset",))
    here, there = numbers.number((("file", "a.log"),)), numbers.number((("file", "b.log"),))
    nowhere = numbers.number((("severity", "error"),))
    assert len({here, there, nowhere}) == len(numbers) == 3
    assert numbers.asset(here).file == "a.log"
    assert not any(numbers.asset(each).is_named for each in (here, there, nowhere))
    assert numbers.number(()) == nowhere


def test_an_empty_label_names_nothing() -> None:
    numbers = AssetNumbers(("asset", "unit"))
    assert numbers.asset(numbers.number((("asset", ""), ("unit", "7")))) == Asset("unit", "7")


def test_every_label_set_of_a_shard_gets_its_asset(make_index) -> None:
    maker = make_index()
    labels = [(("asset", "A"),), (("asset", "B"),), (("asset", "A"), ("severity", "error"))]
    maker.add(*(maker.event("valve stuck", labels=each) for each in labels))
    (state,) = maker.searcher().states()
    numbers = AssetNumbers(("asset",))
    of_labelsets = numbers.of_labelsets(state)
    assert of_labelsets[state.columns.labelsets].tolist() == [0, 1, 0]
