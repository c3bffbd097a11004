#!/usr/bin/env python3
"""Judges FITS files with programs that are not dpm's: astropy, fitsverify, and a checksum of its own on the raw bytes.

    judge.py product FILE...                      is every file a sound product?
    judge.py same-data PRODUCT HDU SOURCE HDU     are two data units equal, bit for bit?
    judge.py package-files                        the FITS files of astropy's own test data, a path each line
    judge.py header FILE [--hdu HDU]              a header as a JSON list of [keyword, value, comment]

HDU is an index from 0 or an extension's name, `NAME` or `NAME,VERSION`. Exit code: 0 sound or equal; 1 not; 2 wrong usage.

`product` prints one line of JSON a file, on standard output:

    {"file": ..., "sound": true, "hdus": [{"name", "ver", "kind", "shape", "datasum"}], "keywords": [...], "faults": [], "warnings": []}

`kind` is PRIMARY, IMAGE, BINTABLE or TABLE; `shape` has the slowest axis first, as in numpy: [NAXISn, ..., NAXIS1]; `datasum` is the
number that the data unit really sums to; `keywords` are those of the primary header in order, ESO keywords as `ESO DPR CATG`.
Faults and warnings go to standard error too, for people. Warnings of fitsverify are no faults; warnings of astropy are.
Run it with .venv/bin/python, which tests/setup makes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy
import numpy as np
from astropy.io import fits

CHUNK = 1 << 24
"""Bytes that are read at once; a multiple of four, so that words are never cut."""

JUDGE_TIMEOUT_SECONDS = 600

OPEN_AS_WRITTEN: dict[str, Any] = {
    "mode": "readonly",
    "lazy_load_hdus": False,
    "disable_image_compression": True,
    "do_not_scale_image_data": True,
}


@dataclass
class Verdict:
    """What the judges say of one file."""

    file: str
    hdus: list[dict[str, Any]] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """True when no judge found a fault."""
        return not self.faults

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "file": self.file,
                "sound": self.is_sound,
                "hdus": self.hdus,
                "keywords": self.keywords,
                "faults": self.faults,
                "warnings": self.warnings,
            }
        )


# --- raw bytes -----------------------------------------------------------------------------------------------------------------------


def chunks(path: Path, start: int, length: int) -> Iterator[bytes]:
    """The bytes of `path` from `start`, `length` in all.

    Raises EOFError where the file ends before that.
    """
    with path.open("rb") as file:
        file.seek(start)
        while length > 0:
            data = file.read(min(CHUNK, length))
            if not data:
                raise EOFError(f"{path} ends {length} bytes too early")
            length -= len(data)
            yield data


def ones_complement_sum(path: Path, start: int, length: int) -> int:
    """The 32-bit ones'-complement sum of a range of whole FITS blocks (FITS 4.0, appendix J)."""
    total = 0
    for data in chunks(path, start, length):
        total += int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


# --- the judges ----------------------------------------------------------------------------------------------------------------------


def judge_checksums(path: Path, label: str, header: fits.Header, place: dict[str, Any]) -> tuple[int, list[str]]:
    """The sum of a data unit, and what is wrong with CHECKSUM and DATASUM of its HDU."""
    start, body, end = place["hdrLoc"], place["datLoc"], place["datLoc"] + place["datSpan"]
    datasum = ones_complement_sum(path, body, end - body)
    faults = []
    for keyword in ("CHECKSUM", "DATASUM"):
        count = header.count(keyword) if keyword in header else 0
        if count != 1:
            faults.append(f"{label} has {keyword} {count} times, expected once")
        elif not isinstance(header[keyword], str):
            faults.append(f"{label} has {keyword} that is no string")
    if faults:
        return datasum, faults
    written = header["DATASUM"].strip()
    if not (written.isascii() and written.isdigit()) or int(written) != datasum:
        faults.append(f"{label} has DATASUM {written!r}, its data sums to {datasum}")
    total = ones_complement_sum(path, start, end - start)
    if total != 0xFFFFFFFF:
        faults.append(f"{label} has a wrong CHECKSUM: the HDU sums to {total:#010x}, not to -0")
    return datasum, faults


def judge_with_astropy(path: Path, verdict: Verdict) -> None:
    """Opens, verifies and describes every HDU; every warning is a fault."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with fits.open(path, checksum=True, **OPEN_AS_WRITTEN) as hdus:
                hdus.verify("exception")
                end = 0
                for index, hdu in enumerate(hdus):
                    label = f"HDU {index} ({hdu.name})"
                    place = hdu.fileinfo()
                    if place["hdrLoc"] != end:
                        verdict.faults.append(f"{label} begins at byte {place['hdrLoc']}, the one before it ends at {end}")
                    end = place["datLoc"] + place["datSpan"]
                    datasum, faults = judge_checksums(path, label, hdu.header, place)
                    verdict.faults += faults
                    axes = [hdu.header[f"NAXIS{axis}"] for axis in range(hdu.header["NAXIS"], 0, -1)]
                    kind = "PRIMARY" if index == 0 else hdu.header["XTENSION"].strip()
                    verdict.hdus.append({"name": hdu.name, "ver": hdu.ver, "kind": kind, "shape": axes, "datasum": datasum})
                    # Data that astropy cannot read is of no use to anybody, whatever its sum is.
                    _ = hdu.data
                verdict.keywords = [card.rawkeyword for card in hdus[0].header.cards]
                size = path.stat().st_size
                if size != end:
                    verdict.faults.append(f"the file has {size} bytes, its HDUs have {end}")
        except EOFError as error:
            verdict.faults.append(one_line(str(error)))
        except Exception as error:  # noqa: BLE001
            # Whatever a broken file makes astropy raise, the judge goes on to fitsverify and to the next file.
            verdict.faults.append(f"astropy: {type(error).__name__}: {one_line(str(error))}")
    # A file that astropy left open belongs to whichever file came before: a fault of astropy's, and of none of them.
    texts = [one_line(str(warning.message)) for warning in caught if not issubclass(warning.category, ResourceWarning)]
    verdict.faults += [f"astropy: {text}" for text in dict.fromkeys(texts)]


def judge_with_fitsverify(path: Path, verdict: Verdict) -> None:
    """Runs fitsverify with the ESO HIERARCH test."""
    with tempfile.TemporaryDirectory(prefix="judge-") as folder:
        # CFITSIO reads brackets, plus signs and more in a file name as instructions: give it a harmless one.
        (Path(folder) / "product.fits").symlink_to(path.resolve())
        command = ["fitsverify", "-H", "product.fits"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=JUDGE_TIMEOUT_SECONDS, check=False)
        except FileNotFoundError:
            verdict.faults.append("fitsverify is not installed: run tests/setup")
            return
        except subprocess.TimeoutExpired:
            verdict.faults.append(f"fitsverify did not end in {JUDGE_TIMEOUT_SECONDS} s")
            return
    report = (done.stdout + b"\n" + done.stderr).decode("latin-1")
    errors = findings(report, "*** Error:")
    verdict.warnings += [f"fitsverify: {text}" for text in findings(report, "*** Warning:")]
    verdict.faults += [f"fitsverify: {text}" for text in errors]
    summary = next((line for line in report.splitlines() if line.startswith("**** Verification found")), None)
    if summary is None:
        verdict.faults.append(f"fitsverify gave up with exit code {done.returncode}")
    elif not errors and " 0 error(s)" not in summary:
        verdict.faults.append(f"fitsverify: {summary.strip('* ')}")


def findings(report: str, mark: str) -> list[str]:
    """The messages of `report` that begin with `mark`; a message goes on in the indented lines that follow."""
    found: list[str] = []
    is_open = False
    for line in report.splitlines():
        if line.startswith(mark):
            found.append(line.removeprefix(mark))
            is_open = True
        elif is_open and line.startswith("      ") and line.strip():
            found[-1] += " " + line
        else:
            is_open = False
    return [one_line(text) for text in found]


def one_line(text: str) -> str:
    """`text` with each run of white space made one blank."""
    return " ".join(text.split())


# --- commands ------------------------------------------------------------------------------------------------------------------------


def product(files: list[Path]) -> int:
    """Judges each of `files`; the exit code."""
    exit_code = 0
    for path in files:
        verdict = Verdict(str(path))
        if path.is_file():
            judge_with_astropy(path, verdict)
            judge_with_fitsverify(path, verdict)
        else:
            verdict.faults.append("there is no such file")
        print(verdict.to_json(), flush=True)
        for text in verdict.warnings:
            print(f"{path}: warning: {text}", file=sys.stderr)
        for text in verdict.faults:
            print(f"{path}: fault: {text}", file=sys.stderr)
        exit_code |= not verdict.is_sound
    return exit_code


def data_unit(path: Path, hdu: Any) -> tuple[int, int]:
    """Offset and length in bytes, padding included, of a data unit."""
    with fits.open(path, **OPEN_AS_WRITTEN) as hdus:
        place = hdus[hdu].fileinfo()
    return place["datLoc"], place["datSpan"]


def same_data(first: Path, first_hdu: Any, second: Path, second_hdu: Any) -> int:
    """Compares two data units; the exit code."""
    (first_start, length), (second_start, second_length) = data_unit(first, first_hdu), data_unit(second, second_hdu)
    if length != second_length:
        print(f"the data units have {length} and {second_length} bytes")
        return 1
    offset = 0
    for one, other in zip(chunks(first, first_start, length), chunks(second, second_start, length), strict=True):
        if one != other:
            offset += next(index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
            print(f"the data units differ first at byte {offset} of {length}")
            return 1
        offset += len(one)
    print(f"the data units are equal, {length} bytes")
    return 0


def header(path: Path, hdu: Any) -> int:
    """Prints a header as JSON; the exit code."""
    with fits.open(path, **OPEN_AS_WRITTEN) as hdus:
        cards = [[card.rawkeyword, plain(card.rawvalue), card.comment] for card in hdus[hdu].header.cards]
    print(json.dumps(cards))
    return 0


def plain(value: Any) -> Any:
    """`value` as JSON can say it: an undefined value is null, a complex one a pair."""
    if value is None or isinstance(value, fits.card.Undefined):
        return None
    if isinstance(value, complex):
        return [value.real, value.imag]
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def package_files() -> int:
    """Prints the FITS files of astropy's package; the exit code."""
    for path in sorted(Path(astropy.__file__).parent.rglob("*.fits*")):
        if path.suffix in (".fits", ".gz"):
            print(path)
    return 0


def hdu_key(text: str) -> Any:
    """An index, a name, or (name, version), as astropy takes it."""
    if text.isdigit():
        return int(text)
    name, comma, version = text.rpartition(",")
    return (name, int(version)) if comma and version.isdigit() else text


def main() -> int:
    """Reads the command line; the exit code."""
    parser = argparse.ArgumentParser(description="Judges FITS files with astropy, fitsverify and its own checksum.")
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("product", help="is every file a sound product?")
    command.add_argument("files", metavar="FILE", type=Path, nargs="+")

    command = commands.add_parser("same-data", help="are two data units equal, bit for bit?")
    command.add_argument("product", metavar="PRODUCT", type=Path)
    command.add_argument("product_hdu", metavar="HDU", type=hdu_key)
    command.add_argument("source", metavar="SOURCE", type=Path)
    command.add_argument("source_hdu", metavar="HDU", type=hdu_key)

    command = commands.add_parser("header", help="a header as a JSON list of [keyword, value, comment]")
    command.add_argument("file", metavar="FILE", type=Path)
    command.add_argument("--hdu", metavar="HDU", type=hdu_key, default=0, help="index or name; 0 is the primary")

    commands.add_parser("package-files", help="the FITS files of astropy's own test data")

    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "product":
                return product(arguments.files)
            case "same-data":
                return same_data(arguments.product, arguments.product_hdu, arguments.source, arguments.source_hdu)
            case "package-files":
                return package_files()
            case _:
                return header(arguments.file, arguments.hdu)
    except (OSError, EOFError, LookupError, fits.VerifyError) as error:
        print(f"judge.py: {type(error).__name__}: {one_line(str(error))}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
