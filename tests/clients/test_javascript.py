"""Clients in JavaScript, unchanged. js/*.mjs holds a script for each; scripts/clients.sh installs them."""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "js"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.mjs"))
TIMEOUT_S = 50


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 6


@pytest.mark.parametrize("script", SCRIPTS)
def test_script(script: str, url: str) -> None:
    assert (FOLDER / "node_modules").is_dir(), "not installed: run scripts/clients.sh"
    command = ["node", script, url, sys.executable, str(TOP)]
    done = subprocess.run(
        command, cwd=FOLDER, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
