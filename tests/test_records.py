"""The door of every JSON Lines file: requests and lines that are refused, and files that appear whole."""

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stance import jsonl
from stance.errors import StanceError, hidden, password, printable
from stance.files import check_output, check_replaceable, write_text
from stance.forms import annotation_from_json, pair_from_json
from stance.records import Pair

TEXT = "Pakistan welcomed the plan."
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def request(**changes: Any) -> dict[str, Any]:
    row = {"text": TEXT, "actor": "Pakistan", "target": "the plan", **changes}
    return {key: value for key, value in row.items() if value is not ...}


def test_request_keeps_its_names_and_spans() -> None:
    row = request(actor_span=[0, 8], target_span=None, note="unknown keys are no fault")
    assert pair_from_json(row, "in.jsonl:3") == Pair(TEXT, "Pakistan", "the plan", (0, 8), None)


def test_request_without_actor_is_refused() -> None:
    with pytest.raises(StanceError, match=r"in\.jsonl:3: 'actor' is missing; found the keys target, text"):
        pair_from_json(request(actor=...), "in.jsonl:3")


def test_request_without_anything_is_refused() -> None:
    with pytest.raises(StanceError, match=r"in\.jsonl:3: 'text' is missing; found the keys none"):
        pair_from_json({}, "in.jsonl:3")


def test_request_with_blank_actor_is_refused() -> None:
    with pytest.raises(StanceError, match=r"in\.jsonl:3: 'actor' is empty"):
        pair_from_json(request(actor=" \n"), "in.jsonl:3")


def test_request_whose_target_is_no_string_is_refused() -> None:
    with pytest.raises(StanceError, match=r"in\.jsonl:3: 'target' must be a string, found list"):
        pair_from_json(request(target=["the plan"]), "in.jsonl:3")


def test_request_with_half_a_surrogate_pair_is_refused() -> None:
    row = json.loads(r'{"text": "Pakistan \ud83d spoke", "actor": "Pakistan", "target": "the plan"}')
    with pytest.raises(StanceError, match=r"in\.jsonl:3: 'text' has half a surrogate pair at character 9"):
        pair_from_json(row, "in.jsonl:3")


@pytest.mark.parametrize("span", [[0, 28], [-1, 3], [5, 5], [6, 2]])
def test_request_with_a_span_outside_its_text_is_refused(span: list[int]) -> None:
    with pytest.raises(StanceError, match=rf"in\.jsonl:3: target_span: span \[{span[0]}, .* outside the text of 27"):
        pair_from_json(request(target_span=span), "in.jsonl:3")


def test_request_with_a_span_of_white_space_is_refused() -> None:
    gap = TEXT.index(" ")
    with pytest.raises(StanceError, match=rf"in\.jsonl:3: actor_span: span \[{gap}, {gap + 1}\] holds no words"):
        pair_from_json(request(actor_span=[gap, gap + 1]), "in.jsonl:3")


@pytest.mark.parametrize("span", [[0], [0, 1, 2], "08", {"start": 0}, [0.0, 8.0], [False, True], 8])
def test_request_whose_span_is_no_span_is_refused(span: Any) -> None:
    with pytest.raises(StanceError, match=r"in\.jsonl:3: actor_span: expected \[start, end\] or null, found"):
        pair_from_json(request(actor_span=span), "in.jsonl:3")


def test_annotation_whose_tags_are_no_list_is_refused() -> None:
    row = {"actor": {"name": "A"}, "target": {"name": "B"}, "stance": "oppose", "evidence": [[0, 8]], "tags": "deed"}
    with pytest.raises(StanceError, match=r"a\.jsonl:1: 'tags' must be a list, found 'deed'"):
        annotation_from_json(row, TEXT, "a.jsonl:1")


# JSON Lines.


@given(rows=st.lists(st.dictionaries(st.text(), values), min_size=1, max_size=4))
def test_rows_that_are_written_are_read_again(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    jsonl.write(path, rows)
    assert list(jsonl.read(path)) == [(f"{path}:{number}", row) for number, row in enumerate(rows, 1)]


def test_blank_lines_and_a_byte_order_mark_are_skipped_but_counted(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"a": 2}')
    assert list(jsonl.read(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:4", {"a": 2})]


def refuse(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(StanceError, match=message):
        list(jsonl.read(path))


def test_an_error_about_a_huge_row_is_short() -> None:
    for row in (request(actor_span=list(range(200_000))), {f"key {number}": 1 for number in range(100_000)}):
        with pytest.raises(StanceError) as refused:
            pair_from_json(row, "in.jsonl:3")
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred\x07\r", "\ufffd[31mred\ufffd\ufffd"),
        ("left \u202e right", "left \ufffd right"),
        ("half \ud83d", "half \ufffd"),
        ("x" * 30, "xxxxx … xxxxx"),
    ],
)
def test_what_is_printed_of_an_input_is_nothing_but_text(text: str, expected: str) -> None:
    assert printable(text, 11) == expected if len(text) > 20 else printable(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sftp://u:pw@h/x", "sftp://u:***@h/x"),
        ("of a://u:p@h and\nb://v:q?@g", "of a://u:***@h and\nb://v:***@g"),
        ("https://TOKEN@host/x", "https://***@host/x"),
        ("sql://h/d?sslpassword=secret&a=1", "sql://h/d?sslpassword=***&a=1"),
        ("sql://h/d?passwd=secret", "sql://h/d?passwd=***"),
        ("sql://h/d?a=1&PASSWORD=secret", "sql://h/d?a=1&PASSWORD=***"),
        ("http://h/d?token=secret", "http://h/d?token=***"),
        ("http://h/d?access_token=secret&b", "http://h/d?access_token=***&b"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        ("http://127.0.0.1:5000: no answer to a@b", "http://127.0.0.1:5000: no answer to a@b"),
        ("sql://me@h/d?options=a@b", "sql://me@h/d?options=a@b"),
        ("https://host/@name?page=2", "https://host/@name?page=2"),
    ],
)
def test_no_password_of_an_address_is_shown(text: str, expected: str) -> None:
    assert hidden(text) == expected
    assert hidden(expected) == expected


@pytest.mark.parametrize("part", ["://", "://:", "://:@", "://:@ ", "://:@?", "://u:p@?", "?pass", "pass", "http://a"])
def test_passwords_are_looked_for_in_a_time_that_grows_with_the_text(part: str) -> None:
    began = time.process_time()
    hidden(part * 20_000)
    password(part * 20_000)
    assert time.process_time() - began < 2


def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    check_output(path)
    jsonl.write(path, [{"a": 1}])
    assert [row for _, row in jsonl.read(path)] == [{"a": 1}]
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_no_file_of_json_lines(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r": is a directory; expected a JSON Lines file"):
        list(jsonl.read(tmp_path))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"none\.jsonl: no such file; expected a JSON Lines file"):
        list(jsonl.read(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,', r"a\.json: not valid JSON \(.*line 1 column 9.*\); mend it"),
        (b'{"a": 1, "a": 2}', r"a\.json: not valid JSON \(the key 'a' stands twice in an object\); mend it"),
        (b"[" * 100_000, r"a\.json: not valid JSON \(nested too deeply\); mend it"),
        (b'{"a": "\xff"}', r"a\.json: not UTF-8 \(byte 0xff\); mend it"),
        (b"[]", r"a\.json: expected a JSON object, found list; mend it"),
        (b'{"a": "' + b"x" * 100 + b'"}', r"a\.json: over 100 bytes, the most that is read; mend it"),
    ],
    ids=["cut", "doubled key", "deep", "not UTF-8", "list", "large"],
)
def test_a_broken_document_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(jsonl, "MAX_ELEMENT_CHARACTERS", 100 if b"x" in content else 1_000_000)
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(StanceError, match=message):
        jsonl.document(path, "mend it")


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path / "in.jsonl", content, r"in\.jsonl: the file is empty; expected one JSON object a line")


def test_line_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    content = '{"a": 1}\n{"a": "é"}\n'.encode("latin-1")
    refuse(tmp_path / "in.jsonl", content, r"in\.jsonl:2: not UTF-8 \(byte 0xe9 at column 8\); save it as UTF-8")


def test_utf16_file_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "in.jsonl", '{"a": 1}\n'.encode("utf-16"), r"in\.jsonl:1: not UTF-8 \(byte 0xff at column 1\)")


def test_broken_line_is_refused_with_its_number(tmp_path: Path) -> None:
    message = r"in\.jsonl:3: broken JSON at column 7: Expecting value; expected one complete object a line"
    refuse(tmp_path / "in.jsonl", b'{"a": 1}\n\n{"a": \n', message)


@pytest.mark.parametrize("content", [b'{"a": 1, "b": 2, "a": 3}', b'{"c": [{"b": 2, "a": 3, "a": 3}]}'])
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path / "in.jsonl", content, r"in\.jsonl:1: broken JSON: the key 'a' stands twice in an object; expected")


def test_number_too_long_for_python_is_refused(tmp_path: Path) -> None:
    content = b'{"a": ' + b"1" * 5000 + b"}"
    refuse(tmp_path / "in.jsonl", content, r"in\.jsonl:1: broken JSON: Exceeds the limit \(4300 digits\)")


@pytest.mark.parametrize(("content", "found"), [(b"[1]", "list"), (b"3", "int"), (b"null", "NoneType")])
def test_line_that_is_no_object_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    refuse(tmp_path / "in.jsonl", content, rf"in\.jsonl:1: expected a JSON object, found {found}")


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    content = b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    refuse(tmp_path / "in.jsonl", content, r"in\.jsonl:1: JSON nested too deeply; expected one flat object a line")


def test_line_over_the_limit_is_refused(tmp_path: Path) -> None:
    content = b'{"a": "' + b"x" * jsonl.MAX_LINE_BYTES + b'"}'
    refuse(tmp_path / "in.jsonl", content, r"in\.jsonl:1: a line of over 16,000,000 bytes, the most that is read")


def test_rows_before_a_broken_line_are_read(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"a": 1}\nnonsense\n')
    rows = jsonl.read(tmp_path / "in.jsonl")
    assert next(rows)[1] == {"a": 1}
    with pytest.raises(StanceError, match=r"in\.jsonl:2: broken JSON at column 1"):
        next(rows)


def test_rows_that_fail_on_the_way_leave_the_old_file(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 2}
        raise StanceError("half way")

    jsonl.write(tmp_path / "out.jsonl", [{"a": 1}])
    with pytest.raises(StanceError, match="half way"):
        jsonl.write(tmp_path / "out.jsonl", rows())
    assert [row for _, row in jsonl.read(tmp_path / "out.jsonl")] == [{"a": 1}]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        write_text(path, "new" * 100_000 + "\ud83d")
    assert path.read_text("utf-8") == "old"
    assert [path.name for path in path.parent.iterdir()] == ["out.txt"]


def test_json_document_is_written_with_sorted_keys(tmp_path: Path) -> None:
    jsonl.write_json(tmp_path / "out.json", {"b": "é", "a": {"d": 1, "c": 2}})
    content = (tmp_path / "out.json").read_text("utf-8")
    assert content == '{\n  "a": {\n    "c": 2,\n    "d": 1\n  },\n  "b": "é"\n}\n'


def test_a_link_stays_and_the_file_that_it_points_at_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    target.write_text("old")
    link.symlink_to(target)
    jsonl.write(link, [{"a": 1}])
    assert link.is_symlink()
    assert target.read_text() == '{"a": 1}\n'


def test_of_an_output_that_is_a_link_the_target_is_checked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "file" / "below")
    with pytest.raises(StanceError, match=r"link: \S+/file is a file, no directory"):
        check_output(tmp_path / "link")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for write in (
        check_output,
        lambda path: jsonl.write(path, []),
        lambda path: check_replaceable(path, marker="m"),
    ):
        with pytest.raises(StanceError, match=r"^\S*/one: a link that leads nowhere"):
            write(tmp_path / "one")


MOUNTED = Path("/dev/shm")  # noqa: S108


@pytest.mark.skipif(
    not MOUNTED.is_mount() or not os.access(MOUNTED.parent, os.W_OK),
    reason=f"no disk is mounted at {MOUNTED}, or this user may not write beside it",
)
def test_an_output_where_a_disk_is_mounted_is_refused() -> None:
    told = rf"^{MOUNTED}: a disk is mounted there"
    with tempfile.NamedTemporaryFile(dir=MOUNTED) as marker, pytest.raises(StanceError, match=told):
        check_replaceable(MOUNTED, marker=Path(marker.name).name)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"a": "\ud83d"}, "half a surrogate"),
        ({"a": [float("nan")]}, "NaN or an infinite"),
        ({"a": 1e999}, "NaN or an infinite"),
    ],
)
def test_a_row_that_can_not_be_written_again_is_refused(row: dict[str, object], match: str) -> None:
    with pytest.raises(StanceError, match=rf"^here:3: has {match}"):
        jsonl.check_writable(row, "here:3")
    jsonl.check_writable({"a": ["é", 1.0, None]}, "here:3")


@pytest.mark.parametrize("place", ["pipe", "/proc/self/fd/1", "/dev/nothing-of-this-name", "link"])
def test_an_output_that_is_no_regular_file_is_refused_and_left(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    if place == "pipe":
        os.mkfifo(path)
    elif place == "link":
        path.symlink_to("/dev/nothing-of-this-name")
    for write in (check_output, lambda path: jsonl.write(path, [])):
        with pytest.raises(StanceError, match=rf"^output=\S*{path.name}: is no regular file"):
            write(path)
    assert path.is_fifo() or place != "pipe"


def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=('{"a": 1}\n\n{"a": 2}\n',), daemon=True)
    writer.start()
    assert [row for _, row in jsonl.read(pipe)] == [{"a": 1}, {"a": 2}]
    writer.join(10)
