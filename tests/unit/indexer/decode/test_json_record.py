from __future__ import annotations


def test_an_array_gives_an_event_for_each_object(decode) -> None:
    decoded = decode(b'[{"msg":"a"},{"msg":"b"}]')
    assert [(e.text, e.sub) for e in decoded.events] == [("a", 0), ("b", 1)]


def test_lines_of_json_give_an_event_each(decode) -> None:
    decoded = decode(b'{"msg":"a"}\n\n{"msg":"b"}\r\n')
    assert [(e.text, e.sub) for e in decoded.events] == [("a", 0), ("b", 1)]


def test_other_lines_among_them_are_text_in_automatic_detection(decode) -> None:
    decoded = decode(b'{"msg":"a"}\n{"msg":\n\tat x\n{"msg":"b"}')
    assert [e.text for e in decoded.events] == ["a", '{"msg":\n\tat x', "b"]


def test_and_dead_letters_where_the_encoding_is_json(decode) -> None:
    decoded = decode(b'{"msg":"a"}\n{"msg":\n{"msg":"b"}', encoding="json")
    assert [(e.text, e.sub) for e in decoded.events] == [("a", 0), ("b", 2)]
    (letter,) = decoded.dead_letters
    assert (letter.reason, letter.sub, letter.data) == ("bad-json", 1, b'{"msg":')


def test_brackets_that_are_no_json_are_text(decode) -> None:
    for line in (b"[INFO] up", b"{broken", b"[1,2]", b"[]", b'["a"]', b"{} {}x"):
        decoded = decode(line)
        assert [e.text for e in decoded.events] == [line.decode()], line
        assert decoded.dead_letters == ()


def test_but_not_where_the_encoding_is_json(decode) -> None:
    for line in (b"[INFO] up", b"{broken", b"7", b'"a"', b"null"):
        (letter,) = decode(line, encoding="json").dead_letters
        assert letter.reason == "bad-json"


def test_empty_objects_and_arrays_are_dead_letters(decode) -> None:
    assert [d.reason for d in decode(b"{}").dead_letters] == ["empty"]
    assert [d.reason for d in decode(b"[]", encoding="json").dead_letters] == ["empty"]


def test_json_too_deep_is_a_dead_letter_however_it_came(decode) -> None:
    data = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    for encoding in ("auto", "json", "note", "otlp_json", "cloudevents"):
        (letter,) = decode(data, encoding=encoding).dead_letters
        assert letter.reason == "json-too-deep"


def test_a_byte_order_mark_does_not_hide_json(decode) -> None:
    assert decode(b'\xef\xbb\xbf{"msg":"a"}').events[0].text == "a"
