"""The version: a git tag, and what stands where there is none."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RELEASE = re.compile(r"^## (\d+\.\d+\.\d+) \((unreleased|\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)


def version_of(tree: Path) -> str:
    """What a build of the tree would call itself."""
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    return ProjectMetadata(str(tree), PluginManager()).version


def git(tree: Path, *words: str) -> str:
    author = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    done = subprocess.run(["git", *author, *words], cwd=tree, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree with the project's settings, not under git."""
    for name in ("SETUPTOOLS_SCM_PRETEND_VERSION", "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_XMSGL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "tree"
    (folder / "xmsgl").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitattributes", ".git_archival.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "xmsgl" / "__init__.py").write_text("")
    return folder


@pytest.fixture
def clone(tree: Path) -> Path:
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "Begin")
    return tree


def test_without_git_it_is_the_fallback(tree: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert version_of(tree) == settings["tool"]["hatch"]["version"]["fallback-version"]


def test_a_clone_without_tags_has_a_version_below_the_first_release(clone: Path) -> None:
    assert re.fullmatch(r"0\.1(\.0)?\.dev1\+g[0-9a-f]+", version_of(clone))


def test_at_a_tag_it_is_the_tag(clone: Path) -> None:
    git(clone, "tag", "v0.3.0")
    assert version_of(clone) == "0.3.0"


def test_after_a_tag_it_is_on_the_way_to_the_next(clone: Path) -> None:
    git(clone, "tag", "v0.3.0")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Go on")
    assert re.fullmatch(r"0\.3\.1\.dev1\+g[0-9a-f]+", version_of(clone))


def unpack(archive: Path, folder: Path) -> None:
    # Not tarfile, whose argument `filter` Python 3.11.2 lacks and 3.12 asks for.
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)


def test_an_archive_of_a_tag_knows_it(clone: Path, tmp_path: Path) -> None:
    git(clone, "tag", "v0.3.0")
    git(clone, "archive", "--prefix=archive/", f"--output={tmp_path / 'archive.tar'}", "v0.3.0")
    unpack(tmp_path / "archive.tar", tmp_path)
    assert version_of(tmp_path / "archive") == "0.3.0"


def test_an_unpacked_sdist_keeps_the_version_it_was_made_with(clone: Path, tmp_path: Path) -> None:
    from hatchling.builders.sdist import SdistBuilder

    git(clone, "tag", "v0.3.0")
    (sdist,) = SdistBuilder(str(clone)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    unpack(Path(sdist), tmp_path)
    unpacked = tmp_path / "xmsgl-0.3.0"
    assert not (unpacked / ".git").exists()
    assert version_of(unpacked) == "0.3.0"


def test_changelog_citation_and_fallback_name_the_same_release() -> None:
    newest = RELEASE.search((ROOT / "CHANGELOG.md").read_text())
    assert newest is not None
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert citation["version"] == newest[1]
    assert settings["tool"]["hatch"]["version"]["fallback-version"] == f"{newest[1]}.dev0"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_a_tagged_commit_is_the_release_that_its_changelog_names() -> None:
    tags = [tag for tag in git(ROOT, "tag", "--points-at", "HEAD").splitlines() if tag.startswith("v")]
    if not tags:
        pytest.skip("this commit is no release")
    newest = RELEASE.search((ROOT / "CHANGELOG.md").read_text())
    assert newest is not None
    assert tags == [f"v{newest[1]}"]
    assert newest[2] != "unreleased", "the changelog still says that this release is to come"
