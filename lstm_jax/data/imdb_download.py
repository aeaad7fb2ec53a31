"""Where the archive of IMDB reviews is found: a folder, or the network."""

import threading
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import resource
from tensorflow_datasets.core.download.util import DownloadError

from lstm_jax.data.imdb_archive import ArchiveInfo, check_file
from lstm_jax.data.prepared import scratch_dir, writing_to
from lstm_jax.errors import UserError
from lstm_jax.paths import is_there

# The name look-up of a machine without network can hang much longer than this.
_PROBE_SECONDS = 6.0


def manual_dir(data_dir: Path) -> Path:
    """Return the folder in which TFDS looks for files that people put there."""
    return data_dir / "downloads" / "manual"


def find_archive(data_dir: Path, info: ArchiveInfo) -> Path | None:
    """Find the archive put into the manual folder, or downloaded before.

    Args:
      data_dir: root directory, as for TFDS.
      info: of the archive.

    Returns:
      The checked file, or None.

    Raises:
      UserError: there is a file, but it is not the archive.
    """
    cached = data_dir / "downloads" / resource.get_dl_fname(info.url, info.sha256)
    for path in (manual_dir(data_dir) / info.filename, cached):
        if is_there(path):
            check_file(path, info)
            return path
    return None


def download_archive(data_dir: Path, info: ArchiveInfo) -> Path:
    """Download the archive with TFDS, once a quick look says that it can be had.

    Args:
      data_dir: root directory, as for TFDS.
      info: of the archive.

    Returns:
      The file, kept where TFDS keeps its downloads.

    Raises:
      UserError: no network, a broken download, or no room.
    """
    problem = _probe(info.url)
    if problem:
        raise UserError(_ways_out(data_dir, info, problem))
    downloads = data_dir / "downloads"
    with writing_to(data_dir), scratch_dir(downloads) as scratch:
        manager = tfds.download.DownloadManager(
            download_dir=scratch, dataset_name="imdb_reviews"
        )
        try:
            path = Path(manager.download(info.url))
        except (requests.RequestException, DownloadError) as error:
            raise UserError(_ways_out(data_dir, info, _brief(error))) from error
        check_file(path, info, called="the download")
        return _keep(path, downloads, info)


def _keep(path: Path, downloads: Path, info: ArchiveInfo) -> Path:
    """Move a download and its notes to where TFDS would have put them."""
    kept = downloads / resource.get_dl_fname(info.url, info.sha256)
    notes = Path(resource.get_info_path(tfds.core.Path(path)))
    notes.replace(kept.with_name(kept.name + ".INFO"))
    return path.replace(kept)


def _probe(url: str) -> str:
    """Ask for the head of ``url``; return what is wrong, or ""."""
    outcome: list[str] = []

    def ask() -> None:
        """Leave the answer in ``outcome``: a thread returns nothing."""
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
                outcome.append("")
        except (OSError, HTTPException) as error:  # the latter: it speaks no HTTP
            outcome.append(_brief(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return outcome[0] if outcome else f"no answer in {_PROBE_SECONDS:g} seconds"


def _brief(error: Exception) -> str:
    """Say in a few words why a connection failed."""
    text = str(getattr(error, "reason", "") or error)
    return text.splitlines()[0][:120] if text.strip() else type(error).__name__


def _ways_out(data_dir: Path, info: ArchiveInfo, problem: str) -> str:
    return (
        f"imdb_reviews: expected it prepared in {data_dir} or a connection to "
        f"{urlsplit(info.url).hostname} to download it, got neither ({problem}); put "
        f"{info.filename} (from {info.url}) into {manual_dir(data_dir)}, or set "
        "TFDS_DATA_DIR (or data.data_dir) to a directory with the prepared set, or run "
        "--config configs/offline.py, which needs no download"
    )
