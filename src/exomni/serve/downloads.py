"""A remembered reply as a file in any format of `exomni.export`."""

import io
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..export import FORMATS, export
from .replies import KeptReply

STEM = "exomni"


@dataclass(frozen=True)
class Download:
    """A file: its name and what it holds."""

    name: str
    data: bytes


def write_download(reply: KeptReply, format_name: str) -> Download:
    """A reply in a format; a zip where it is several files.

    Args:
        reply: as it is remembered.
        format_name: of `exomni.export.FORMATS`.
    Raises:
        UserError: the format cannot hold this reply, such as captions of one without words.
    """
    with tempfile.TemporaryDirectory(prefix="exomni-") as folder:
        target = Path(folder) / (STEM + FORMATS[format_name].suffix)
        export(reply.track(), [f"{format_name}={target}"])
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        if len(files) == 1:
            return Download(files[0].name, files[0].read_bytes())
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
        return Download(f"{STEM}-{format_name}.zip", packed.getvalue())
