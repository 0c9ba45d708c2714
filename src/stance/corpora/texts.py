"""Text as it lies in files: bytes to characters, and characters to clean ones with a way back for offsets.

Nothing is composed or folded (no NFC): what is printed stays as it is, and so do the marks that steer the direction
of writing and the joiners that Persian, Indian scripts and emoji need.
"""

import codecs
import re
from bisect import bisect_left
from dataclasses import dataclass

import charset_normalizer

from stance.errors import StanceError

SAMPLE = 200_000
"""Bytes that the detection of an encoding looks at."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE
)
_TEXT_CODECS = re.compile(
    r"utf-8|cp\d+|iso8859-\d+|koi8-[rtu]|gb18030|big5\w*|shift_jis\w*|euc_\w+|iso2022_\w+|mac-\w+"
)
# What pages call by these names is written in the larger set (the WHATWG's table of labels).
_LARGER = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030",
    "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
}  # fmt: skip
# What detection chooses from, the likelier of two that fit alike before the other.
_COMMON = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "cp932", "euc_jp",
    "gb18030", "big5", "cp949",
)  # fmt: skip
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ESCAPED = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# The joiners U+200C and U+200D stay beside scripts that need them.
_NEEDS_JOINERS = "[\u0590-\u1fff\u3000-\U0010ffff]"
_INVISIBLE = re.compile(
    rf"[\ufeff\ufffe\uffff\u200b\u2060\u180e\u00ad\x00-\x08\x0e-\x1b\x7f]|\r(?=\n)"
    rf"|(?<!{_NEEDS_JOINERS})[\u200c\u200d](?!{_NEEDS_JOINERS})"
)
_OTHER_BREAK = re.compile("[\r\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_WRAPPED = re.compile(r"[\w,;-]\n(?=[a-z])")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A clean text, what was changed ("" for nothing), and where characters were taken out of the original."""

    text: str
    changes: str = ""
    gone: tuple[int, ...] = ()

    def moved(self, offset: int) -> int:
        """The offset into `text` of what stood at `offset` in the original."""
        return offset - bisect_left(self.gone, offset)


def clean(text: str) -> Cleaned:
    """`text` without invisible characters and with `\\n` as its only line end.

    Raises:
        StanceError: half a surrogate pair, which no file can hold.
    """
    if text.replace("\n", "").isprintable():  # says no to all that is looked for below, and fast
        return Cleaned(text)
    if found := _SURROGATE.search(text):
        raise StanceError(f"half a surrogate pair at character {found.start()}; write it whole")
    removed = [(match.start(), match.group()) for match in _INVISIBLE.finditer(text)]
    ends = sum(character == "\r" for _, character in removed)
    whole, breaks = _OTHER_BREAK.subn("\n", _INVISIBLE.sub("", text) if removed else text)
    changes = [
        f"{count} {what}"
        for count, what in (
            (ends, "Windows line ends written as \\n"),
            (breaks, "other line ends written as \\n"),
            (len(removed) - ends, "zero-width or control characters removed"),
        )
        if count
    ]
    return Cleaned(whole, ", ".join(changes), tuple(place for place, _ in removed))


def paragraphs(text: str) -> str:
    """Clean text as paragraphs with one blank line between them and single spaces inside.

    Blank lines divide where there are any; else each line is a paragraph, unless its lines break inside sentences.
    """
    pieces = _BLANK_LINE.split(text.strip())
    if len(pieces) == 1 and not _WRAPPED.search(text):
        pieces = text.split("\n")
    return "\n\n".join(" ".join(piece.split()) for piece in pieces if piece.strip())


def marked(raw: bytes) -> str:
    """The encoding that a byte order mark names, or "" without one."""
    return next((name for mark, name in _BOMS if raw.startswith(mark)), "")


def wide(raw: bytes) -> str:
    """The encoding of UTF-16 without a byte order mark, which shows by its zero bytes, or "".

    Raises:
        StanceError: other data with many control characters, which is no text.
    """
    sample = raw[:4096]
    even, odd = (sample[first::2].count(0) for first in (0, 1))
    if max(even, odd) >= 0.2 * len(sample) > 0 and min(even, odd) <= 0.02 * len(sample):
        return "utf-16-le" if odd > even else "utf-16-be"
    if len(_CONTROL.findall(sample)) > 0.02 * len(sample):
        raise StanceError("binary data; expected text or HTML")
    return ""


def declared(raw: bytes) -> str:
    """The encoding that a page declares in its first bytes, as it writes it, or ""."""
    found = _DECLARED.search(raw[:4096])
    return found.group(1).decode("ascii") if found else ""


def decode(raw: bytes, label: str = "") -> tuple[str, str]:
    """The characters of `raw`, and what was not as `label` (or UTF-8) says, "" when all was.

    A byte order mark decides; then UTF-8, UTF-8 with stray bytes of Windows-1252, the label, and detection.

    Raises:
        StanceError: binary data, or bytes that fit no encoding.
    """
    if mark := marked(raw) or wide(raw):
        try:
            return raw.decode(mark), "" if marked(raw) else f"read as {mark}, without a byte order mark"
        except UnicodeDecodeError as error:
            raise StanceError(f"not valid {mark} (byte {error.start}); save it as UTF-8") from error
    codec = _codec(label)
    if codec and (b"\x1b" in raw) and (text := _strict(raw, codec)) is not None:  # ISO 2022 looks like ASCII
        return text, ""
    if (text := _strict(raw, "utf-8")) is not None:
        wrong = label and codec != "utf-8" and not raw.isascii()
        return text, f"declared as {label}, read as utf-8" if wrong else ""
    escaped = raw.decode("utf-8", "surrogateescape")
    if mostly_utf8(escaped):
        return mend(escaped)
    if codec and (text := _strict(raw, codec)) is not None:
        return text, ""
    found = detect(raw)
    if (text := _strict(raw, found)) is None:
        raise StanceError("neither UTF-8 nor another encoding that can be told; save it as UTF-8")
    return text, f"{f'not {label}' if label else 'no encoding declared'}, read as {found}"


def detect(raw: bytes) -> str:
    """The encoding of bytes that are not UTF-8, as far as a sample of them tells; "" when it does not."""
    matches = charset_normalizer.from_bytes(raw[:SAMPLE], cp_isolation=list(_COMMON))
    best = matches.best()
    if best is None:
        return ""
    alike = {
        name
        for match in matches
        if match.chaos <= best.chaos + 0.01 and match.coherence >= best.coherence - 0.01
        for name in match.could_be_from_charset
    }
    return next((_codec(name) for name in _COMMON if name in alike), "")


def mostly_utf8(escaped: str) -> bool:
    """Whether characters of UTF-8 outnumber the stray bytes in what was decoded with `surrogateescape`."""
    stray = len(_ESCAPED.findall(escaped))
    return len(escaped) - sum(map(len, re.findall(r"[\x00-\x7f]+", escaped))) >= 2 * stray


def mend(escaped: str) -> tuple[str, str]:
    """Stray bytes in what was decoded with `surrogateescape` as Windows-1252, and a note of it.

    Raises:
        StanceError: a byte that Windows-1252 does not have.
    """

    def character(match: re.Match[str]) -> str:
        try:
            return bytes([ord(match.group()) - 0xDC00]).decode("cp1252")
        except UnicodeDecodeError as error:
            raise StanceError(f"byte {error.object[0]:#04x} is neither UTF-8 nor Windows-1252") from error

    text, count = _ESCAPED.subn(character, escaped)
    return text, f"{count} bytes that are not UTF-8 read as Windows-1252" if count else ""


def _strict(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec) if codec else None
    except UnicodeDecodeError:
        return None


def _codec(label: str) -> str:
    """Python's name of a declared encoding, "" for an unknown one and for what is no encoding of text."""
    try:
        name = codecs.lookup(label).name if label else ""
    except LookupError:
        return ""
    name = _LARGER.get(name, name)
    return name if _TEXT_CODECS.fullmatch(name) else ""
