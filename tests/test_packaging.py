"""What a wheel holds, that it works away from the checkout, and what a shadowed installation says."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOPS = ("convgraph", "passes", "exporters")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is built from, so that no build leaves anything in the real checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for top in TOPS:
        shutil.copytree(ROOT / top, copy / top, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    command = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(target), str(checkout)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    (built,) = target.glob("*.whl")
    return built


def expected_files() -> set[str]:
    """Every module and data file of the three folders, where an installation has it."""
    files = [
        path.relative_to(ROOT)
        for top in TOPS
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return {str(f if f.parts[0] == "convgraph" else "convgraph" / f) for f in files}


def test_the_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    held = {name for name in names if ".dist-info/" not in name}
    assert held == expected_files()
    assert {"convgraph/py.typed", "convgraph/report/schema.json"} <= held
    assert {"convgraph/passes/__init__.py", "convgraph/exporters/__init__.py"} <= held


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata_name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = archive.read(metadata_name).decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "Requires-Dist: torch" in metadata.replace('"', "'")
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert not [line for line in required if "torch" in line and "extra ==" not in line]
    entry_points = metadata_name.replace("METADATA", "entry_points.txt")
    assert "convgraph = convgraph.cli.main:main" in archive.read(entry_points).decode()
    assert b"Apache License" in archive.read(metadata_name.replace("METADATA", "licenses/LICENSE"))


def test_an_installed_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    done = python(["-m", "convgraph", "optimize", "demo:pixelcnn"], cwd=tmp_path, path=[tmp_path / "site"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pixelcnn.opt.onnx").exists()
    where = python(
        ["-c", "import convgraph; print(convgraph.passes.__file__)"], cwd=tmp_path, path=[tmp_path / "site"]
    )
    assert Path(where.stdout.strip()).is_relative_to(tmp_path)


@pytest.mark.parametrize("code", ["import convgraph; convgraph.passes", "from convgraph import optimize"])
def test_a_checkout_that_hides_an_installation_says_so(checkout: Path, code: str) -> None:
    done = python(["-c", code], cwd=checkout, path=[])
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert "pip install -e ." in last
    assert f"not installed beside {checkout / 'convgraph'}" in last


def test_a_hidden_installation_is_one_line_on_the_command_line(checkout: Path) -> None:
    done = python(["-m", "convgraph", "passes"], cwd=checkout, path=[])
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "pip install -e ." in done.stderr


def python(arguments: list[str], *, cwd: Path, path: list[Path]) -> subprocess.CompletedProcess[str]:
    """Run Python with the dependencies at hand but without this checkout's editable installation."""
    # -S leaves out site's .pth files, which is where an editable installation announces itself.
    sites = [*map(str, path), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sites)}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
