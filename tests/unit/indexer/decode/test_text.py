from __future__ import annotations

from dejalog.indexer.decode import text
from dejalog.indexer.decode.json_object import Reading


def read(line: str, reading: Reading) -> text.Draft:
    return text.read(line, reading.received_ns, reading.times, reading.settings)


def test_the_text_is_the_whole_line_without_its_newline(reading: Reading) -> None:
    line = "2022-08-22 05:18:16,154 - INFO  [main] - up \x00\x07"
    draft = read(line + "\r\n", reading)
    assert draft.text == line
    assert draft.severity == "info"
    assert draft.time_ns == 1_661_145_496_154_000_000


def test_a_stack_trace_beneath_the_line_is_part_of_it(reading: Reading) -> None:
    line = "2022-08-22 05:18:16 ERROR x\njava.lang.E: y\n\tat a.b(C.java:1)"
    assert read(line, reading).text == line


def test_a_line_of_a_syslog_file_names_host_and_program(reading: Reading) -> None:
    draft = read("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: failure", reading)
    assert draft.fields is not None
    assert draft.fields.labels() == (("host", "combo"), ("service", "sshd(pam_unix)"))
    assert draft.fields.attributes() == (("pid", "19939"),)
    assert draft.text.startswith("Jun 14")


def test_other_lines_give_no_labels(reading: Reading) -> None:
    for line in ("2022-08-22 05:18:16 gate main: x", "Jun 14 15:16:01 went by", "CR871 REPL TYRE"):
        assert read(line, reading).fields is None
