#!/usr/bin/env python3
"""Writes FITS files with astropy and fpack for the test matrix: what the usual writers make.

    matrix_files.py FOLDER SEED

Prints a JSON list of [name, path], on standard output. Files of other kinds come from tests/matrix/raw.rs.
Run it with .venv/bin/python, which tests/setup makes.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.io import fits

COMPRESSIONS = ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"]


def described(header: fits.Header, random: np.random.Generator) -> None:
    """Adds keywords of all kinds, the way astropy writes them."""
    header["OBJECT"] = ("STD-42", "target")
    header["EXPTIME"] = (float(random.uniform(0, 100)), "[s] exposure time")
    header["NEXP"] = int(random.integers(-1000, 1000))
    header["GUIDING"] = bool(random.integers(2))
    header["CPLX"] = complex(1.5, float(random.integers(10)))
    header["NOTHING"] = None
    header["QUOTED"] = "it's D'Arrest's"
    header["LONGTEXT"] = ("a string that does not fit into one card, " * int(random.integers(1, 5)), "with a comment")
    header["HIERARCH ESO DET CHIP1 ID"] = ("ESO-1", "chip")
    header["HIERARCH ESO TPL SCRIPT"] = "a long text of an ESO keyword " * int(random.integers(1, 8))
    header["HIERARCH ESO INS TEMP1 VAL"] = float(random.normal())
    header.add_comment("a comment that is rather long, " * 4)
    header.add_history("made for the matrix")
    header.add_blank("under the blank keyword")


def images(random: np.random.Generator) -> Iterator[tuple[str, fits.HDUList]]:
    """Images of every type, in the primary HDU and in extensions."""
    for kind in ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]:
        shape = tuple(int(length) for length in random.integers(1, 12, size=int(random.integers(1, 5))))
        info = np.dtype(kind)
        data = random.normal(size=shape).astype(kind) if info.kind == "f" else random.integers(0, 100, size=shape).astype(kind)
        hdus = fits.HDUList([fits.PrimaryHDU(data), fits.ImageHDU(data, name="SCI", ver=2), fits.ImageHDU(data.T.copy(), name="SCI")])
        yield f"astropy image {kind}", hdus
    scaled = fits.ImageHDU(np.linspace(0, 1, 300).reshape(20, 15), name="SCALED")
    scaled.scale("int16", bzero=0.5, bscale=1e-4)
    yield "astropy scaled image", fits.HDUList([fits.PrimaryHDU(), scaled])
    square = fits.ImageHDU(random.integers(0, 500, size=(64, 64)).astype("i2"), name="SQUARE")
    yield "astropy square image", fits.HDUList([fits.PrimaryHDU(), square])
    yield "astropy image without data", fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(name="EMPTY")])


def compressed(random: np.random.Generator) -> Iterator[tuple[str, fits.HDUList]]:
    """Tile-compressed images of all algorithms, of integers and of quantised reals."""
    for algorithm in COMPRESSIONS:
        pixels = random.integers(0, 2000, size=(40, 40)).astype("i2")
        hdu = fits.CompImageHDU(pixels, compression_type=algorithm, name=algorithm)
        yield f"astropy compressed {algorithm}", fits.HDUList([fits.PrimaryHDU(), hdu])
        if algorithm == "PLIO_1":
            continue
        pixels = random.normal(100, 3, size=(40, 40)).astype("f4")
        hdu = fits.CompImageHDU(pixels, compression_type=algorithm, quantize_level=16, quantize_method=1, dither_seed=7)
        yield f"astropy compressed reals {algorithm}", fits.HDUList([fits.PrimaryHDU(), hdu])


def tables(random: np.random.Generator) -> Iterator[tuple[str, fits.HDUList]]:
    """Tables: all formats, variable-length columns, several dimensions, ASCII."""
    rows = 17
    columns = [
        fits.Column("L", "L", array=random.integers(2, size=rows).astype(bool)),
        fits.Column("X", "11X", array=random.integers(2, size=(rows, 11)).astype(bool)),
        fits.Column("B", "B", array=random.integers(255, size=rows).astype("u1")),
        fits.Column("I", "3I", array=random.integers(999, size=(rows, 3)).astype("i2")),
        fits.Column("U", "I", array=random.integers(999, size=rows).astype("u2"), bzero=32768),
        fits.Column("J", "6J", dim="(2,3)", array=random.integers(999, size=(rows, 3, 2)).astype("i4"), unit="adu", null=-1),
        fits.Column("K", "K", array=random.integers(999, size=rows)),
        fits.Column("E", "E", array=random.normal(size=rows).astype("f4"), disp="F8.3"),
        fits.Column("D", "2D", array=random.normal(size=(rows, 2))),
        fits.Column("C", "C", array=(random.normal(size=rows) + 1j).astype("c8")),
        fits.Column("M", "M", array=random.normal(size=rows) + 1j),
        fits.Column("A", "30A", array=[f"row {row}" for row in range(rows)]),
    ]
    yield "astropy table", fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="ALL")])
    for code, kind in [("B", "u1"), ("I", "i2"), ("J", "i4"), ("K", "i8"), ("E", "f4"), ("D", "f8"), ("A", "U1")]:
        cells = np.empty(rows, dtype=object)
        for row in range(rows):
            cells[row] = np.full(row % 5, 65 + row).astype(kind) if code != "A" else "x" * (row % 5 + 1)
        column = fits.Column("V", f"{'Q' if code in 'KD' else 'P'}{code}()", array=cells)
        hdus = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], name=f"VLA{code}")])
        yield f"astropy variable length {code}", hdus
    columns = [
        fits.Column("NAME", "A12", array=[f"star {row}" for row in range(rows)]),
        fits.Column("MAG", "F8.3", array=np.linspace(1, 9, rows)),
        fits.Column("COUNT", "I7", array=np.arange(rows)),
    ]
    yield "astropy ASCII table", fits.HDUList([fits.PrimaryHDU(), fits.TableHDU.from_columns(columns, name="ASCII")])


def others(random: np.random.Generator) -> Iterator[tuple[str, fits.HDUList]]:
    """Random groups, and many small HDUs."""
    groups = fits.GroupData(
        random.normal(size=(6, 1, 3, 4)).astype("f4"), bitpix=-32, parnames=["UU", "VV", "DATE"], pardata=[np.arange(6.0)] * 3
    )
    yield "astropy random groups", fits.HDUList([fits.GroupsHDU(groups)])
    many = [fits.ImageHDU(np.arange(index + 1, dtype="i2"), name="CHIP", ver=index + 1) for index in range(30)]
    yield "astropy many extensions", fits.HDUList([fits.PrimaryHDU(), *many])
    sealed = fits.ImageHDU(random.normal(size=(9, 9)), name="SEALED")
    sealed.add_checksum()
    yield "astropy with sums", fits.HDUList([fits.PrimaryHDU(), sealed])


def packed(folder: Path, name: str, source: Path, options: list[str]) -> tuple[str, Path]:
    """`source` as fpack compresses it."""
    target = folder / f"{name.replace(' ', '_')}.fits.fz"
    subprocess.run(["fpack", *options, "-O", target.name, source.name], cwd=folder, check=True, capture_output=True)
    return name, target


def main() -> int:
    """Writes the files; the exit code."""
    folder, random = Path(sys.argv[1]), np.random.default_rng(int(sys.argv[2]))
    made = []
    warnings.simplefilter("ignore")
    for name, hdus in [*images(random), *compressed(random), *tables(random), *others(random)]:
        for hdu in hdus:
            described(hdu.header, random)
        path = folder / f"{name.replace(' ', '_')}.fits"
        hdus.writeto(path, checksum=bool(random.integers(2)))
        made.append((name, path))
    paths = dict(made)
    for algorithm in ["-r", "-h", "-g", "-p"]:
        made.append(packed(folder, f"fpack image {algorithm[1:]}", paths["astropy square image"], [algorithm]))
    for kind in ["table", "variable length J", "variable length A"]:
        made.append(packed(folder, f"fpack {kind}", paths[f"astropy {kind}"], ["-table"]))
    zipped = folder / "gzip.fits.gz"
    zipped.write_bytes(gzip.compress(paths["astropy many extensions"].read_bytes(), mtime=0))
    made.append(("gzip many extensions", zipped))
    print(json.dumps([[name, str(path)] for name, path in made]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
