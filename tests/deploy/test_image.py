"""The image's process needs no root, no capability and no writable file system but its volume, as the kit promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.kit import ROOT

HEADRACE = Path(sys.executable).with_name("headrace")
USER = 10_001
START_S = 120.0
WITHOUT_RIGHTS = ("--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
READ_ONLY = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/data /mnt/out
mount --bind "$VOLUME" /mnt/data
mount --bind "$OUT" /mnt/out
while read -r _ _ _ _ target options _; do
  case "$target" in /mnt/data | /mnt/out | /proc* | /sys* | /dev*) ;;
    *) mount -o remount,bind,ro "$target" 2>/dev/null || true ;; esac
done </proc/self/mountinfo
for folder in / /mnt /tmp /var/tmp /run "$HOME"; do
  if touch "$folder/x" 2>/dev/null; then echo "$folder is writable" >&2; exit 9; fi
done
exec setpriv --reuid "$USER_ID" --regid "$USER_ID" $WITHOUT_RIGHTS sh -c '
    cd /mnt/data
    "$@" >/mnt/out/log 2>&1 &
    until grep -q "is ready at" /mnt/out/log; do kill -0 $! || { cat /mnt/out/log >&2; exit 8; }; sleep 0.1; done
    kill $!
    wait $!
  ' sh "$@"
"""
"""Run a server in a mount namespace in which only its data folder can be written, until it is ready; then stop it."""


def as_root() -> list[str] | None:
    """How to become root in a mount namespace of its own, as a container's runtime does; None: not on this machine."""
    for prefix in ([], ["sudo", "-n", "--preserve-env"]):
        if prefix and shutil.which(prefix[0]) is None:
            continue
        command = [*prefix, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        probe = [*command, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return command
    return None


def user_of_the_image(root: list[str]) -> int:
    """The image's user, or root without a capability where this checkout's Python is below a folder of root's."""
    command = [
        *root,
        "setpriv",
        f"--reuid={USER}",
        f"--regid={USER}",
        *WITHOUT_RIGHTS,
        "sh",
        "-c",
        f"{HEADRACE} --version",
    ]
    return USER if subprocess.run(command, capture_output=True, check=False).returncode == 0 else 0


def test_a_server_starts_on_a_read_only_root_as_a_user_without_rights(tmp_path: Path) -> None:
    command = as_root()
    if command is None:
        pytest.skip("this user may not mount: a read-only root file system is not tried")
    user = user_of_the_image(command)
    volume, out = tmp_path / "volume", tmp_path / "out"
    for folder in (volume, out):
        folder.mkdir()
        folder.chmod(0o777)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/root",
        "VOLUME": str(volume),
        "OUT": str(out),
        "USER_ID": str(user),
        "WITHOUT_RIGHTS": " ".join(WITHOUT_RIGHTS),
        "HEADRACE_STACK_URL": "http://127.0.0.1:9",
        "HEADRACE_AUTH": "local",
        "HEADRACE_HOST": "127.0.0.1",
        "HEADRACE_PORT": "0",
        "HEADRACE_DATA": "/mnt/data",
    }
    ran = subprocess.run(
        [*command, "sh", "-c", READ_ONLY, "sh", str(HEADRACE), "serve"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
    )
    log = (out / "log").read_text() if (out / "log").exists() else ""
    assert ran.returncode == 0, ran.stderr + log
    assert {file.stat().st_uid for file in volume.iterdir()} == {user}
    assert "stopped" in log and (volume / "journal.db").exists()


def test_the_user_is_the_one_of_the_image() -> None:
    assert re.search(rf"^USER {USER}:{USER}$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
