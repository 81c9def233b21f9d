"""Full and read-only disks: mounts that only this process and its children see."""

import ctypes
import os
import subprocess
from pathlib import Path

_NEW_MOUNTS, _NEW_USERS = 0x0002_0000, 0x1000_0000
"""CLONE_NEWNS, CLONE_NEWUSER (unshare(2)): the root of a namespace may mount in it."""


def why_not(folder: Path) -> str:
    """Return the reason why mounting fails here, or an empty text."""
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs"]
    try:
        done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no `unshare`"
    return done.stderr.strip() if done.returncode else ""


def mount(folder: Path, kilobytes: int) -> None:
    """Mount a disk of this size; the end of the calling process unmounts it."""
    maps = {"uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS | _NEW_USERS):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in {"setgroups": "deny", **maps}.items():
        Path("/proc/self", name).write_text(text, encoding="utf-8")
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], check=True
    )


def remount(folder: Path, option: str) -> None:
    """Change a mounted disk's size (``size=9m``) or make it read-only (``ro``)."""
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True)


def make_read_only(file: Path) -> None:
    """Make one file read-only, for root as well."""
    subprocess.run(["mount", "--bind", file, file], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", file], check=True)
