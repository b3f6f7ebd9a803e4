"""What the documents point at is there: files, pictures, benchmarks and the places of the mutation check."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.mutation_check import FAULTS, Fault
from tests.launcher.instance import ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "nasdip_engine").rglob("*.md")]
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")
COMMAND = re.compile(r"python -m (benchmarks\.\w+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = [link for link in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_links_into_a_document_meet_a_heading() -> None:
    links = [
        (document, document.parent / link if link else document, anchor)
        for document in DOCUMENTS
        for link, anchor in ANCHOR.findall(document.read_text(encoding="utf-8"))
        if "://" not in link
    ]
    assert links
    assert [(document.name, anchor) for document, to, anchor in links if anchor not in headings(to)] == []


def test_every_command_of_a_benchmark_has_its_script() -> None:
    named = {name for document in DOCUMENTS for name in COMMAND.findall(document.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert len(set(numbers)) == len(numbers)


def test_what_benchmarks_import_from_the_engine_is_there() -> None:
    """Inside functions too, where starting a script does not find it."""
    imports = sorted(
        {
            line.strip()
            for path in (ROOT / "benchmarks").glob("*.py")
            for line in path.read_text(encoding="utf-8").splitlines()
            if re.match(r"\s*from (nasdip_engine|benchmarks)[\w.]* import \w+", line)
        }
    )
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(imports)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_mutation_check_finds_the_place_of_each_fault(fault: Fault) -> None:
    assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.place) == 1
    assert all((ROOT / guard).is_file() for guard in fault.guards)
