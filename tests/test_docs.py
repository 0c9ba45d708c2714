"""The documents: their links lead somewhere, and what they tell a reader to run is there."""

import re
from pathlib import Path

import pytest

from conftest import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "corpus" / "README.md"]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_SCRIPT = re.compile(r"\bscripts/\w+\.py\b")


def anchors(text: str) -> set[str]:
    """The names under which GitHub shows the headings of a document."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    lost = []
    for link in _LINK.findall(document.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        place = document.parent / name if name else document
        known = place.exists() and (not anchor or anchor in anchors(place.read_text("utf-8")))
        lost += [] if link.startswith("http") or known else [link]
    assert not lost


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "LOG.md"], ids=lambda path: path.stem)
def test_scripts_that_a_document_names_are_there(document: Path) -> None:
    named = set(_SCRIPT.findall(document.read_text("utf-8")))
    assert not {script for script in named if not (ROOT / script).is_file()}


def test_a_link_without_a_place_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Two words\n[there](a.md#two-words) [gone](b.md) [no heading](#three)\n", "utf-8")
    with pytest.raises(AssertionError, match=r"\['b\.md', '#three'\]"):
        test_links_within_the_project_lead_somewhere(tmp_path / "a.md")
