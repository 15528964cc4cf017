"""Make the links of a package's README absolute, or check that a built wheel has no relative ones.

absolute_links.py FOLDER            rewrite FOLDER/README.md by the Source URL of FOLDER/pyproject.toml
absolute_links.py --check WHEEL...  exit 1 and name each relative link of a wheel's description
"""

from __future__ import annotations

import posixpath
import re
import sys
import tomllib
import zipfile
from pathlib import Path

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
RAW = "raw.githubusercontent.com"


def rewrite(folder: Path) -> None:
    source = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    documentation = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["urls"]["Documentation"]
    prefix = documentation.partition("/tree/main/")[2] if "packages/" in documentation else ""

    def absolute(found: re.Match[str]) -> str:
        bang, text, path, anchor = found.groups()
        if "://" in path:
            return found[0]
        whole = posixpath.normpath(posixpath.join(prefix, path))
        base = source.replace("github.com", RAW) + "/main" if bang else f"{source}/blob/main"
        return f"{bang}[{text}]({base}/{whole}{anchor or ''})"

    readme = folder / "README.md"
    readme.write_text(LINK.sub(absolute, readme.read_text()))


def relative_links(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    return [f"{wheel.name}: {found[0]}" for found in LINK.finditer(metadata) if "://" not in found[3]]


def main(arguments: list[str]) -> int:
    if arguments[0] != "--check":
        rewrite(Path(arguments[0]))
        return 0
    complaints = [each for wheel in arguments[1:] for each in relative_links(Path(wheel))]
    print("\n".join(complaints), end="\n" if complaints else "", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
