from __future__ import annotations

import random
import re

import numpy as np
import pytest

from dejalog.indexer.append import ShardLimits
from dejalog.indexer.arrivals import Arrivals
from dejalog.indexer.compact import CompactRules, compact_directory
from dejalog.indexer.errors import QueryError
from dejalog.indexer.match import meaning_rows
from dejalog.indexer.opened import OpenShards
from dejalog.indexer.request import FollowRequest, Mode, SearchRequest
from dejalog.indexer.standing import SCORE_MIN, StandingQuery, _Remembered
from dejalog.indexer.terms import query_terms

TEXTS = [
    "motor overload on axis 3",
    "drive M7 tripped: the motor current is too high",
    "coffee machine refilled",
    "user anna opened the door of hall 7",
    "fault E-1034 raised by drive M7",
    "fault E-10345 raised by drive M7",
    "GET /health 200",
]


def matched(maker, query: StandingQuery, after: int = -1) -> dict[int, float]:
    """Numbers of the events that match, with their totals."""
    found = {}
    with Arrivals(OpenShards(maker.directory, maker.encoder.fingerprint)).reading() as reading:
        query.learn(reading.label_names)
        for block in reading.blocks(after):
            selection = query.select(block)
            for index, total in zip(
                selection.indexes.tolist(), selection.totals.tolist(), strict=True
            ):
                found[block.first + index] = total
                match = query.match(block, index)
                assert match.scores.total == pytest.approx(total)
                assert match.occurrence.event_id == block.first + index
    return found


def texts_of(maker, text: str, **changes) -> list[str]:
    query = StandingQuery(FollowRequest(text, **changes), maker.encoder)
    return [TEXTS[number] for number in matched(maker, query)]


@pytest.fixture
def maker(make_index):
    made = make_index()
    made.add(*TEXTS, is_indexed=False)
    return made


def test_words_match_by_meaning_and_what_is_about_something_else_does_not(maker) -> None:
    assert texts_of(maker, "motor overload") == TEXTS[:2]
    assert texts_of(maker, "motor overload", score_min=0.7) == TEXTS[:1]
    assert texts_of(maker, "motor overload", score_min=0.0) == TEXTS


def test_a_score_is_the_mean_of_maxsim_and_pooled_cosine_whatever_else_arrives(make_index) -> None:
    text, pattern = "engine under too much load", "motor overload on axis 3"
    alone, among = make_index(), make_index()
    alone.add(pattern, is_indexed=False)
    among.add("engine under too much load", *TEXTS, is_indexed=False)
    query = alone.encoder.encode_query(text)
    rows = query.vectors[meaning_rows(query, query_terms(text))]
    (encoded,) = alone.encoder.encode_patterns([pattern])
    wanted = ((rows @ encoded.vectors.T).max(1).mean() + query.pooled @ encoded.pooled) / 2
    request = FollowRequest(text, score_min=0.0)
    assert matched(alone, StandingQuery(request, alone.encoder))[0] == pytest.approx(
        wanted, abs=0.01
    )
    # The model's int8 arithmetic differs a little with what else is in its batch.
    assert matched(among, StandingQuery(request, among.encoder))[1] == pytest.approx(
        matched(alone, StandingQuery(request, alone.encoder))[0], abs=0.03
    )


def test_all_words_in_any_form_are_a_match_however_long_the_text(make_index) -> None:
    maker = make_index()
    noise = "heartbeat of node seven received by the master within its window"
    maker.add(f"{noise}; leaks near valves; {noise}", noise, is_indexed=False)
    found = matched(maker, StandingQuery(FollowRequest("valve leaking"), maker.encoder))
    assert found == {0: 1.0}


def test_codes_match_letter_for_letter_and_in_no_other_way(maker) -> None:
    assert texts_of(maker, "E-1034") == [TEXTS[4]]
    assert texts_of(maker, "e-1034") == [TEXTS[4]]
    assert texts_of(maker, "E-9999") == []
    assert texts_of(maker, "E-1034 M7") == [TEXTS[4]]


def test_a_code_and_shorthand_are_found_in_their_other_spellings(make_index) -> None:
    maker = make_index()
    maker.add("fault E1034", "replaced hyd pump", "replaced fan", is_indexed=False)
    assert list(matched(maker, StandingQuery(FollowRequest("E-1034"), maker.encoder))) == [0]
    request = FollowRequest("repl hydraulic pump", mode=Mode.LEXICAL)
    assert list(matched(maker, StandingQuery(request, maker.encoder))) == [1]


def test_a_code_that_was_masked_is_found_in_the_text(make_index) -> None:
    maker = make_index()
    maker.add("block blk_38865049064139660 lost", "block blk_1 lost", is_indexed=False)
    query = StandingQuery(FollowRequest("blk_38865049064139660"), maker.encoder)
    assert list(matched(maker, query)) == [0]


def test_words_beside_a_code_match_with_either(maker) -> None:
    assert texts_of(maker, "E-1034 motor overload") == [TEXTS[0], TEXTS[1], TEXTS[4]]
    assert texts_of(maker, '"E-1034" motor overload') == []
    assert texts_of(maker, '"E-1034"') == [TEXTS[4]]


def test_quoted_words_do_not_count_as_meaning(maker) -> None:
    assert texts_of(maker, '"drive" coffee') == []
    assert texts_of(maker, '"refilled" coffee machine') == [TEXTS[2]]


def test_exclusions_and_filters_hold(make_index) -> None:
    maker = make_index()
    lines = [("1", "pump P-1 dry"), ("2", "pump P-2 dry"), ("2", "pump P-3 wet")]
    maker.add(*(maker.event(text, labels=(("line", line),)) for line, text in lines))
    ask = lambda text, **more: list(  # noqa: E731
        matched(maker, StandingQuery(FollowRequest(text, **more), maker.encoder))
    )
    assert ask("") == [0, 1, 2]
    assert ask("line=2") == [1, 2]
    assert ask("", where=("line!=2",)) == [0]
    assert ask('line=2 -"wet"') == [1]
    assert ask("line=2 -dry") == [2]
    assert ask("P-3 line=1") == []


def test_filters_and_strings_mean_what_they_mean_in_a_search(make_index) -> None:
    maker = make_index(ShardLimits(events_max=40))
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    words = [
        "pump",
        "E-1034",
        "E-10345",
        "10.0.0.7:443",
        "dry",
        "blk_3886504906413966",
        "Stra\u00dfe",
    ]
    for _ in range(4):
        maker.add(
            *(
                maker.event(
                    " ".join(chance.choices(words, k=chance.randrange(1, 5))),
                    labels=(("line", str(chance.randrange(3))),),
                    attributes=(("code", chance.choice(words)),),
                )
                for _ in range(30)
            )
        )
    searcher = maker.searcher()
    for text in (
        "line=1",
        "line=1 -line=2",
        '"pump"',
        '"E-1034"',
        '"pump dry"',
        '"10.0.0.7:443" -"dry"',
        'line=2 -E-1034 -"pump"',
        '"stra\u00dfe" "blk_3886504906413966"',
    ):
        found = matched(maker, StandingQuery(FollowRequest(text), maker.encoder))
        assert len(found) == searcher.search(SearchRequest(text)).events_matched, text
    searcher.close()


def test_a_filter_by_a_label_that_comes_later_is_a_filter_from_then_on(make_index) -> None:
    maker = make_index()
    query = StandingQuery(FollowRequest("line=3 pump"), maker.encoder)
    maker.add("pump line=3", is_indexed=False)
    assert list(matched(maker, query)) == [0]
    maker.add(
        maker.event("pump", labels=(("line", "3"),)),
        maker.event("pump", labels=(("line", "4"),)),
        is_indexed=False,
    )
    assert list(matched(maker, query, after=0)) == [1]


def test_lexical_mode_asks_for_every_word_and_semantic_mode_for_no_letters(maker) -> None:
    assert texts_of(maker, "drive fault E-1034", mode=Mode.LEXICAL) == [TEXTS[4]]
    assert texts_of(maker, "drive fault E-1034", mode=Mode.LEXICAL, score_min=0.6) == TEXTS[4:6]
    assert texts_of(maker, "overloaded motors", mode=Mode.LEXICAL) == TEXTS[:1]
    assert texts_of(maker, "overloaded engines", mode=Mode.LEXICAL) == []
    scores = matched(
        maker,
        StandingQuery(FollowRequest("E-1034", mode=Mode.SEMANTIC, score_min=0.0), maker.encoder),
    )
    assert len(scores) == len(TEXTS)
    assert scores[4] < 1


def test_new_patterns_alone_can_be_asked_for(make_index) -> None:
    maker = make_index(ShardLimits(events_max=3))
    for text in ("pump 7 dry", "pump 7 dry", "fan off", "pump 7 dry", "fan on"):
        maker.add(text, is_indexed=False)
    query = StandingQuery(FollowRequest(""), maker.encoder, is_new=True)
    assert list(matched(maker, query)) == [0, 2, 4]
    query = StandingQuery(FollowRequest('"fan"'), maker.encoder, is_new=True)
    assert list(matched(maker, query)) == [2, 4]


def test_scores_stay_the_same_in_another_shard_and_nearly_so_in_a_compacted_one(make_index) -> None:
    maker = make_index(ShardLimits(events_max=len(TEXTS)))
    for _ in range(2):
        maker.add(*TEXTS)
    request = FollowRequest("motor overload", score_min=0.0)
    fresh = matched(maker, StandingQuery(request, maker.encoder))
    count = len(TEXTS)
    assert [fresh[n] for n in range(count)] == pytest.approx(
        [fresh[n + count] for n in range(count)]
    )
    maker.appender.seal()
    maker.index_words()
    compact_directory(
        maker.directory, lambda: maker.encoder, CompactRules(write_bytes_per_s=0, merge_factor=2)
    )
    coded = matched(maker, StandingQuery(request, maker.encoder))
    assert coded == pytest.approx(fresh, abs=0.03)


def test_a_match_says_why(maker) -> None:
    query = StandingQuery(FollowRequest("motor overload E-1034"), maker.encoder)
    with Arrivals(OpenShards(maker.directory, maker.encoder.fingerprint)).reading() as reading:
        (block,) = reading.blocks(-1)
        match = query.match(block, 0)
        code = query.match(block, 4)
    assert match.pattern == TEXTS[0]
    assert match.is_new_pattern
    assert match.scores.semantic > 0.8
    asked, text = query.request.text, match.occurrence.event.text
    pairs = {
        asked[e.query_start : e.query_end]: text[e.text_start : e.text_end] for e in match.evidence
    }
    assert pairs["motor"] == "motor"
    shares = sum(each.share for each in match.evidence) + match.scores.marks
    assert shares == pytest.approx(match.scores.semantic, abs=1e-3)
    assert code.scores.exact == 1.0
    assert any(e.similarity == 1.0 and e.query_start == 15 for e in code.evidence)
    quiet = StandingQuery(FollowRequest("motor", is_explained=False), maker.encoder)
    with Arrivals(OpenShards(maker.directory, maker.encoder.fingerprint)).reading() as reading:
        assert quiet.match(next(reading.blocks(-1)), 0).evidence == ()


def test_a_question_that_cannot_be_understood_is_refused_when_it_is_asked(encoder) -> None:
    with pytest.raises(QueryError, match="cannot read the filter"):
        StandingQuery(FollowRequest("x", where=("nonsense",)), encoder)
    with pytest.raises(QueryError, match="between 0 and 1"):
        StandingQuery(FollowRequest("x", score_min=1.5), encoder)


def test_a_pattern_is_scored_once(maker, monkeypatch) -> None:
    scored: list[int] = []
    score = StandingQuery._score

    def counted(self, block, numbers):
        scored.extend(numbers.tolist())
        return score(self, block, numbers)

    monkeypatch.setattr(StandingQuery, "_score", counted)
    query = StandingQuery(FollowRequest("motor overload"), maker.encoder)
    arrivals, after = Arrivals(OpenShards(maker.directory, maker.encoder.fingerprint)), -1
    for _ in range(3):
        with arrivals.reading() as reading:
            for block in reading.blocks(after):
                query.select(block)
                after = block.last
        maker.add(*TEXTS, is_indexed=False)
    assert sorted(scored) == list(range(len(TEXTS)))


def test_a_newer_pattern_takes_the_place_of_an_older_one_that_shares_it() -> None:
    remembered = _Remembered(size=4)
    numbers = np.array([1, 2, 5])
    assert not remembered.get(0, numbers)[1].any()
    remembered.put(numbers, np.arange(9, dtype=np.float32).reshape(3, 3))
    scores, is_known = remembered.get(0, numbers)
    assert is_known.tolist() == [False, True, True]
    assert scores[2].tolist() == [6, 7, 8]
    assert not remembered.get(1, numbers)[1].any()


def test_the_default_threshold_is_the_documented_one() -> None:
    from pathlib import Path

    manual = (Path(__file__).parents[3] / "docs" / "ALERTS.md").read_text()
    assert re.search(rf"score_min.*{SCORE_MIN}", manual)
