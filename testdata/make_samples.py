#!/usr/bin/env python3
"""Makes the sample FITS files in testdata/fits.

The same bytes come out on every run: pixels are drawn from fixed seeds, dates are constants, and CHECKSUM and DATASUM are written here
rather than by astropy, which would put the time of day into their comments. That the sums are right is then astropy's and fitsverify's
to judge, not this script's.

    make_samples.py            makes the files again
    make_samples.py --check    makes them in memory, compares with those that are there, and compares the digests that
                               testdata/specs names with the files; exit 1 if anything differs

Run it with the astropy and numpy of tests/judges/requirements.txt (`tests/setup`, then `.venv/bin/python testdata/make_samples.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

HERE = Path(__file__).resolve().parent
BLOCK = 2880
CARD = 80
DATE = "2031-02-03T04:10:00"
DATE_OBS = "2031-02-03T04:05:06.789"
MJD_OBS = 62900.170217465
SUM_COMMENT = f"written {DATE}"

EsoCard = tuple[str, Any, str]


# --- checksums -----------------------------------------------------------------------------------------------------------------------


def ones_complement_sum(data: bytes) -> int:
    """The 32-bit ones'-complement sum of `data` (FITS 4.0, appendix J); its length is a multiple of four bytes."""
    total = int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def encode_checksum(value: int) -> str:
    """`value` in the 16 printable characters of a CHECKSUM card (FITS 4.0, appendix J.2)."""
    excluded = range(0x3A, 0x41), range(0x5B, 0x61)
    columns = []
    for shift in (24, 16, 8, 0):
        byte = value >> shift & 0xFF
        four = [byte // 4 + 0x30 + (byte % 4 if index == 0 else 0) for index in range(4)]
        while any(char in span for char in four for span in excluded):
            for first in (0, 2):
                if any(char in span for char in four[first : first + 2] for span in excluded):
                    four[first] += 1
                    four[first + 1] -= 1
        columns.append(four)
    text = "".join(chr(columns[column][row]) for row in range(4) for column in range(4))
    return text[-1] + text[:-1]


def with_checksums(data: bytes) -> bytes:
    """`data`, a FITS file, with the right CHECKSUM and DATASUM in each HDU that has those two cards."""
    file = bytearray(data)
    with fits.open(io.BytesIO(data), disable_image_compression=True) as hdus:
        places = [hdu.fileinfo() for hdu in hdus]
    for place in places:
        start, body, end = place["hdrLoc"], place["datLoc"], place["datLoc"] + place["datSpan"]
        at = {bytes(file[offset : offset + 8]): offset for offset in range(start, body, CARD)}
        if b"CHECKSUM" not in at:
            continue

        def write(keyword: bytes, value: str) -> None:
            text = f"{keyword.decode():8}= '{value:8}'".ljust(30) + f" / {SUM_COMMENT}"
            file[at[keyword] : at[keyword] + CARD] = text.ljust(CARD).encode()

        write(b"DATASUM ", str(ones_complement_sum(file[body:end])))
        write(b"CHECKSUM", "0" * 16)
        write(b"CHECKSUM", encode_checksum(~ones_complement_sum(file[start:end]) & 0xFFFFFFFF))
    return bytes(file)


def add_sum_cards(header: fits.Header) -> None:
    """Reserves the two cards that `with_checksums` fills."""
    header.append(("CHECKSUM", "0" * 16, SUM_COMMENT), end=False)
    header.append(("DATASUM", "0", SUM_COMMENT), end=False)


def to_bytes(hdus: Iterable[Any]) -> bytes:
    """The file that astropy writes for `hdus`, with checksums; anything that astropy warns of is an error."""
    file = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(file, output_verify="exception")
    return with_checksums(file.getvalue())


# --- headers -------------------------------------------------------------------------------------------------------------------------


def add_eso(header: fits.Header, cards: Iterable[EsoCard]) -> None:
    """Appends ESO keywords; names come without the HIERARCH ESO prefix."""
    for name, value, comment in cards:
        header.append((f"HIERARCH ESO {name}", value, comment), end=True)


def primary(*, origin: str, instrument: str, extend: bool = True) -> fits.PrimaryHDU:
    """A primary HDU without data, with the plain keywords that every observatory file has."""
    hdu = fits.PrimaryHDU()
    header = hdu.header
    if extend:
        header["EXTEND"] = (True, "extensions may be present")
    else:
        header.remove("EXTEND", ignore_missing=True)
    header["ORIGIN"] = (origin, "where the file was made")
    header["TELESCOP"] = ("XMPL-ELT", "telescope")
    header["INSTRUME"] = (instrument, "instrument or sub-system")
    header["DATE"] = (DATE, "when the file was written")
    header["DATE-OBS"] = (DATE_OBS, "start of the observation")
    header["MJD-OBS"] = (MJD_OBS, "[d] start of the observation")
    return hdu


def sky(header: fits.Header, *, chip: int, pixels: int) -> None:
    """A tangential WCS; the reference pixel of chip 1 to 4 is the corner that all four share."""
    right, top = (chip - 1) % 2, (chip - 1) // 2
    header["CTYPE1"] = ("RA---TAN", "tangential projection")
    header["CTYPE2"] = ("DEC--TAN", "tangential projection")
    header["CUNIT1"] = ("deg", "unit of axis 1")
    header["CUNIT2"] = ("deg", "unit of axis 2")
    header["CRVAL1"] = (83.633083, "[deg] right ascension at the reference")
    header["CRVAL2"] = (-22.0145, "[deg] declination at the reference")
    header["CRPIX1"] = (-4.5 if right else pixels + 5.5, "[pix] reference pixel")
    header["CRPIX2"] = (-4.5 if top else pixels + 5.5, "[pix] reference pixel")
    header["CD1_1"] = (-1.1111e-6, "[deg/pix] scale and rotation")
    header["CD1_2"] = (0.0, "[deg/pix] scale and rotation")
    header["CD2_1"] = (0.0, "[deg/pix] scale and rotation")
    header["CD2_2"] = (1.1111e-6, "[deg/pix] scale and rotation")
    header["RADESYS"] = ("ICRS", "coordinate system")


def observation_cards() -> Iterator[EsoCard]:
    """ESO keywords of the categories DPR, OBS and TPL."""
    yield "DPR CATG", "SCIENCE", "Observation category"
    yield "DPR TECH", "IMAGE,MOSAIC", "Observation technique"
    yield "DPR TYPE", "OBJECT", "Observation type"
    yield "OBS ID", 4021734, "Observation block id"
    yield "OBS NAME", "Deep field, position 3", "Observation block name"
    yield "OBS PI-COI ID", 80123, "Investigator id"
    yield "OBS PI-COI NAME", "D'ARREST", "Investigator; a quote in the value"
    yield "OBS PROG ID", "0131.A-4242(B)", "Programme id"
    yield "OBS TARG NAME", "STD-42", "Target name"
    yield "OBS START", DATE_OBS[:19], "Start of the block"
    yield "OBS TPLNO", 2, "Template number in the block"
    yield "OBS NTESTS", 0, "Conditions not met"
    yield "OBS DID", "ESO-VLT-DIC.OBS-1.12", "Dictionary of OBS"
    yield "TPL ID", "XMPL_img_obs_dither", "Template id"
    yield "TPL NAME", "Imaging with dither", "Template name"
    yield "TPL PRESEQ", "XMPL_img_obs_dither.seq", "Sequencer script"
    yield "TPL START", "2031-02-03T04:01:10", "Start of the template"
    yield "TPL NEXP", 9, "Exposures in the template"
    yield "TPL EXPNO", 3, "Number of this exposure"
    yield "TPL VERSION", "$Revision: 1.42 $", "Template version"
    yield "TPL DID", "ESO-VLT-DIC.TPL-1.9", "Dictionary of TPL"


def telescope_cards() -> Iterator[EsoCard]:
    """ESO keywords of the categories TEL and ADA."""
    yield "TEL ID", "XMPL-ELT", "Telescope"
    yield "TEL ALT", 63.1742, "[deg] altitude at the start"
    yield "TEL AZ", 211.08, "[deg] azimuth at the start, south is 0"
    yield "TEL GEOELEV", 3046.0, "[m] elevation above sea level"
    yield "TEL GEOLAT", -24.5893, "[deg] latitude"
    yield "TEL GEOLON", -70.1916, "[deg] longitude, east is positive"
    yield "TEL OPER", "I, Condor", "Operator"
    yield "TEL AIRM START", 1.121, "Airmass at the start"
    yield "TEL AIRM END", 1.124, "Airmass at the end"
    yield "TEL AMBI FWHM START", 0.61, "[arcsec] seeing at the start"
    yield "TEL AMBI FWHM END", 0.64, "[arcsec] seeing at the end"
    yield "TEL AMBI PRES START", 712.4, "[hPa] pressure"
    yield "TEL AMBI RHUM", 11, "[%] relative humidity"
    yield "TEL AMBI TAU0", 0.0048, "[s] coherence time"
    yield "TEL AMBI TEMP", 9.7, "[C] temperature"
    yield "TEL AMBI WINDDIR", 2, "[deg] wind direction"
    yield "TEL AMBI WINDSP", 6.35, "[m/s] wind speed"
    yield "TEL FOCU SCALE", 2.2, "[arcsec/mm] focal scale"
    yield "TEL FOCU VALUE", -27.418, "[mm] focus"
    yield "TEL PARANG START", -41.297, "[deg] parallactic angle"
    yield "TEL PARANG END", -40.112, "[deg] parallactic angle"
    yield "TEL TRAK STATUS", "NORMAL", "Tracking"
    yield "TEL DOME STATUS", "FULLY-OPEN", "Dome"
    yield "TEL TARG ALPHA", 53431.94, "Target, HHMMSS.ss"
    yield "TEL TARG DELTA", -220052.2, "Target, DDMMSS.s"
    yield "ADA ABSROT START", -12.3071, "[deg] rotator at the start"
    yield "ADA ABSROT END", -12.1193, "[deg] rotator at the end"
    yield "ADA GUID STATUS", "ON", "Guiding"


def instrument_cards() -> Iterator[EsoCard]:
    """ESO keywords of the category INS, with the index wildcards of the dictionaries (FILT1, FILT2, ...)."""
    yield "INS ID", "XMPL/2.17", "Instrument id and software version"
    yield "INS MODE", "IMG", "Mode"
    yield "INS SWSIM", "NORMAL", "Software simulation"
    yield "INS DID", "ESO-ELT-DIC.XMPL_ICS-0.7", "Dictionary of INS"
    for index, name in enumerate(("J", "BLOCK", "OPEN"), start=1):
        yield f"INS FILT{index} ID", f"F{index:02}", f"Element on wheel {index}"
        yield f"INS FILT{index} NAME", name, f"Name on wheel {index}"
        yield f"INS FILT{index} NO", index * 2, f"Slot on wheel {index}"
    for index in range(1, 4):
        yield f"INS TEMP{index} NAME", f"sensor {index}", "Name of the sensor"
        yield f"INS TEMP{index} VAL", 77.0 + index / 8, "[K] reading"
    yield "INS LAMP1 ST", False, "Lamp 1 is on"
    yield "INS LAMP2 ST", False, "Lamp 2 is on"
    yield "INS OPTI1 ENCREL", -40213, "[inc] relative encoder of optic 1"
    yield "INS SHUT1 ST", True, "Shutter 1 is open"


def detector_cards() -> Iterator[EsoCard]:
    """ESO keywords of the category DET that belong to all chips."""
    yield "DET ID", "NGCII mosaic", "Detector system"
    yield "DET NAME", "XMPL-DET", "Detector"
    yield "DET CHIPS", 4, "Chips in the mosaic"
    yield "DET DIT", 30.0, "[s] integration time"
    yield "DET NDIT", 2, "Number of integrations"
    yield "DET EXP ID", 90210, "Exposure id"
    yield "DET EXP UTC", DATE_OBS, "Start of the exposure"
    yield "DET FRAM ID", 1, "Frame"
    yield "DET FRAM TYPE", "INT", "Type of frame"
    yield "DET READ CURNAME", "Double", "Read-out mode"
    yield "DET READ NBUFS", 4, "Buffers"
    yield "DET SEQ1 DIT", 30.0, "[s] integration time of sequencer 1"
    yield "DET SEQ1 MINDIT", 1.3042, "[s] shortest integration time"
    yield "DET COUNTER", 18446744073709551615, "Frames; all 64 bits"
    yield "DET DID", "ESO-ELT-DIC.NGCII-0.3", "Dictionary of DET"
    for chip in range(1, 5):
        yield f"DET CHIP{chip} ID", f"SN-{1200 + chip}", "Serial number"
        yield f"DET CHIP{chip} GAIN", round(2.05 + chip / 100, 2), "[e-/ADU] conversion"
        yield f"DET CHIP{chip} RON", round(3.2 + chip / 10, 1), "[e-] read-out noise"
        yield f"DET CHIP{chip} LIVE", True, "Chip is read"


def late_cards() -> Iterator[EsoCard]:
    """ESO keywords of GEN, and of a category that no dictionary orders, behind those that sort after them."""
    yield "GEN MOON PHASE", 0.81, "Lit part of the moon"
    yield "GEN SUN ALT", -38.2, "[deg] sun"
    yield "OCS REQ NUM", 12, "Request of the observation software"
    yield "OCS REQ USER", "daq", "Who asked"
    yield "OCS DET1 IMGNAME", "XMPL_DET_034", "Root of the file name"
    yield "OBS AMBI FWHM", 0.8, "[arcsec] seeing asked for"
    yield "DPR PATH", "LM", "Optical path"


# --- the samples ---------------------------------------------------------------------------------------------------------------------


def detector_mosaic() -> bytes:
    """Primary without data and an ESO header that fills its blocks to the last card; four 16-bit unsigned images."""
    first = primary(origin="XMPL-OBS", instrument="XMPL")
    header = first.header
    header["OBJECT"] = ("STD-42", "what was observed")
    header["OBSERVER"] = ("I, Condor", "who observed")
    header["PI-COI"] = ("D'ARREST", "investigator")
    header["RA"] = (83.633083, "[deg] 05:34:31.9 right ascension (J2000)")
    header["DEC"] = (-22.0145, "[deg] -22:00:52.2 declination (J2000)")
    header["EQUINOX"] = (2000.0, "standard equinox")
    header["RADESYS"] = ("ICRS", "coordinate system")
    header["EXPTIME"] = (60.0, "[s] exposure time")
    header["UTC"] = (14706.789, "[s] 04:05:06.789")
    header["LST"] = (29211.402, "[s] 08:06:51.402")
    header["ORIGFILE"] = ("XMPL_DET_034_0007.fits", "original file name")
    header["LONGSTRN"] = ("OGIP 1.0", "long strings use CONTINUE")
    header["OBSNOTE"] = (
        "Thin cirrus from the west since 03:50, guide star lost once & found again; "
        "the operator's note is long on purpose: it runs over several cards and holds a quote, "
        "an ampersand & a slash / inside the text.",
        "night log",
    )
    add_eso(header, observation_cards())
    add_eso(header, telescope_cards())
    add_eso(header, instrument_cards())
    add_eso(header, detector_cards())
    add_eso(header, late_cards())
    header.add_history("read out by the detector controller")
    header.add_history("overscan kept")
    header.add_comment("Sample data of dpm: no photon was harmed.")
    header.add_comment("The fourth chip has no light.")
    add_sum_cards(header)

    hdus: list[Any] = [first]
    for chip in range(1, 5):
        random = np.random.Generator(np.random.PCG64(100 + chip))
        y, x = np.mgrid[0:128, 0:128]
        star = 20000.0 * np.exp(-((x - 20 * chip) ** 2 + (y - 64) ** 2) / 18.0) if chip < 4 else 0.0
        pixels = np.clip(np.rint(random.normal(1000.0, 12.0, (128, 128)) + star), 0, 65535).astype(np.uint16)
        pixels[0, 0], pixels[127, 127] = 0, 65535
        image = fits.ImageHDU(pixels, name=f"CHIP{chip}.INT1", uint=True)
        image.header["EXTVER"] = (1, "version of the extension")
        image.header["INHERIT"] = (True, "the primary header holds here too")
        image.header["BUNIT"] = ("adu", "unit of the pixels")
        sky(image.header, chip=chip, pixels=128)
        add_eso(
            image.header,
            (
                ("DET CHIP INDEX", chip, "Chip in the mosaic"),
                ("DET CHIP ID", f"SN-{1200 + chip}", "Serial number"),
                ("DET CHIP X", 1 + (chip - 1) % 2, "Column in the mosaic"),
                ("DET CHIP Y", 1 + (chip - 1) // 2, "Row in the mosaic"),
                ("DET CHIP NX", 128, "[pix] width"),
                ("DET CHIP NY", 128, "[pix] height"),
                ("DET OUT1 GAIN", round(2.05 + chip / 100, 2), "[e-/ADU] conversion"),
            ),
        )
        add_sum_cards(image.header)
        hdus.append(image)
    return to_bytes(hdus)


def detector_single() -> bytes:
    """One HDU: 32-bit float pixels in the primary."""
    random = np.random.Generator(np.random.PCG64(200))
    pixels = random.normal(250.0, 4.0, (100, 200)).astype(np.float32)
    pixels[50, 100] = np.nan
    hdu = fits.PrimaryHDU(pixels)
    header = hdu.header
    header["ORIGIN"] = ("XMPL-OBS", "where the file was made")
    header["TELESCOP"] = ("XMPL-ELT", "telescope")
    header["INSTRUME"] = ("XMPL", "instrument or sub-system")
    header["DATE"] = (DATE, "when the file was written")
    header["DATE-OBS"] = (DATE_OBS, "start of the observation")
    header["MJD-OBS"] = (MJD_OBS, "[d] start of the observation")
    header["OBJECT"] = ("SLIT-VIEW", "what was observed")
    header["EXPTIME"] = (5.0, "[s] exposure time")
    header["BUNIT"] = ("adu", "unit of the pixels")
    sky(header, chip=1, pixels=100)
    add_eso(
        header,
        (
            ("DPR CATG", "ACQUISITION", "Observation category"),
            ("DPR TYPE", "SLIT", "Observation type"),
            ("INS SLIT1 WID", 0.4, "[arcsec] slit width"),
            ("DET2 ID", "slit viewer", "Detector system"),
            ("DET2 DIT", 5.0, "[s] integration time"),
            ("DET2 READ CURNAME", "Single", "Read-out mode"),
        ),
    )
    add_sum_cards(header)
    return to_bytes([hdu])


def telemetry() -> bytes:
    """A binary table with a heap and every odd column, and an ASCII table."""
    first = primary(origin="XMPL-AOS", instrument="AOS")
    first.header["OBJECT"] = ("NGS-7", "guide star of the loop")
    add_eso(
        first.header,
        (
            ("AOS ID", "SCAO", "Adaptive optics mode"),
            ("AOS LOOP STATE", "CLOSED", "State of the loop"),
            ("AOS LOOP RATE", 500.0, "[Hz] loop rate"),
            ("AOS LOOP GAIN", 0.45, "Gain of the integrator"),
            ("AOS DM1 STROKE", 0.62, "Stroke used on mirror 1"),
            ("AOS DM2 STROKE", 0.31, "Stroke used on mirror 2"),
            ("AOS DM3 STROKE", 0.12, "Stroke used on mirror 3"),
            ("AOS WFS NSUB", 12, "Sub-apertures"),
            ("AOS DEBUG TRACE", True, "Trace is written"),
            ("AOS DEBUG BUILD", "c0ffee", "Build of the real-time computer"),
        ),
    )
    first.header.add_history("telemetry closed by the loop recorder")
    add_sum_cards(first.header)

    rows = 64
    random = np.random.Generator(np.random.PCG64(300))
    events = np.empty(rows, dtype=object)
    for row in range(rows):
        events[row] = random.normal(0.0, 1.0, int(random.integers(0, 40))).astype(np.float32)
    times = np.arange(rows, dtype=np.float64) / 500.0
    columns = fits.ColDefs(
        [
            fits.Column(name="TIME", format="D", unit="s", array=times),
            fits.Column(name="FRAME", format="K", array=np.arange(rows, dtype=np.int64) + 2**40),
            fits.Column(name="CLOSED", format="L", array=np.arange(rows) % 7 != 0),
            fits.Column(name="STATE", format="12A", array=np.array(["CLOSED", "OPEN", "BOOTSTRAP"])[np.arange(rows) % 3]),
            fits.Column(
                name="OTF",
                format="C",
                array=(random.normal(size=rows) + 1j * random.normal(size=rows)).astype(np.complex64),
            ),
            fits.Column(
                name="SLOPES",
                format="24E",
                unit="arcsec",
                dim="(2,12)",
                array=random.normal(0.0, 0.1, (rows, 12, 2)).astype(np.float32),
            ),
            fits.Column(name="FLUX", format="J", bzero=2**31, array=random.integers(0, 2**32, rows, dtype=np.uint32)),
            fits.Column(name="RESIDUALS", format="PE(40)", unit="nm", array=events),
        ]
    )
    loop = fits.BinTableHDU.from_columns(columns, name="AOS_LOOP")
    loop.header["EXTVER"] = (1, "version of the extension")
    add_eso(loop.header, (("AOS LOOP RATE", 500.0, "[Hz] loop rate"),))
    add_sum_cards(loop.header)

    log = fits.TableHDU.from_columns(
        [
            fits.Column(name="TIME", format="F10.3", unit="s", array=np.array([0.002, 0.014, 0.028, 0.1, 0.126]), ascii=True),
            fits.Column(name="CODE", format="I6", array=np.array([100, 204, 409, 204, 100]), ascii=True),
            fits.Column(
                name="TEXT",
                format="A24",
                array=np.array(["loop closed", "saturation DM1", "star lost", "saturation DM2", "loop closed"]),
                ascii=True,
            ),
        ],
        name="EVENTS",
    )
    log.header["EXTVER"] = (1, "version of the extension")
    add_sum_cards(log.header)
    return to_bytes([first, loop, log])


def guider_cube() -> bytes:
    """A 16-bit cube in an extension; no checksums, as many sub-systems write none."""
    first = primary(origin="XMPL-GDR", instrument="GUIDER")
    add_eso(
        first.header,
        (
            ("GUI ID", "GUIDER-A", "Guider"),
            ("GUI RATE", 20.0, "[Hz] frame rate"),
            ("GUI STAR MAG", 13.7, "[mag] guide star"),
            ("GUI STAR NAME", "2MASS J05343194-2200521", "Guide star"),
        ),
    )
    random = np.random.Generator(np.random.PCG64(400))
    cube = np.rint(random.normal(0.0, 30.0, (16, 64, 64))).astype(np.int16)
    cube[:, 28:36, 28:36] += 4000
    image = fits.ImageHDU(cube, name="GUIDER")
    image.header["BUNIT"] = ("adu", "unit of the pixels")
    image.header["BLANK"] = (-32768, "value of a pixel without data")
    sky(image.header, chip=1, pixels=64)
    image.header["CTYPE3"] = ("TIME", "third axis")
    image.header["CUNIT3"] = ("s", "unit of axis 3")
    image.header["CRPIX3"] = (1.0, "[pix] reference plane")
    image.header["CRVAL3"] = (0.0, "[s] time of the reference plane")
    image.header["CD3_3"] = (0.05, "[s] time between planes")
    return to_bytes([first, image])


def target() -> bytes:
    """An in-place target: its primary header keeps 48 blank cards before END for what is to come."""
    first = primary(origin="XMPL-OBS", instrument="XMPL")
    header = first.header
    header["OBJECT"] = ("OLD-NAME", "to be replaced by a source")
    header["EXPTIME"] = (60.0, "[s] exposure time")
    header["ORIGFILE"] = ("f0001.fits", "original file name")
    add_eso(
        header,
        (
            ("DPR CATG", "TEST", "To be replaced by a source"),
            ("DET ID", "NGCII single", "Detector system"),
            ("DET DIT", 30.0, "[s] integration time"),
            ("DET NDIT", 2, "Number of integrations"),
        ),
    )
    header.add_history("written by the detector as a base for the product")
    add_sum_cards(header)
    for _ in range(48):
        header.append(("", ""), end=True, bottom=True)
    random = np.random.Generator(np.random.PCG64(500))
    image = fits.ImageHDU(random.integers(-2000, 2000, (96, 96), dtype=np.int32), name="CHIP1.INT1")
    image.header["EXTVER"] = (1, "version of the extension")
    image.header["BUNIT"] = ("adu", "unit of the pixels")
    add_eso(image.header, (("DET CHIP ID", "SN-1201", "Serial number"),))
    add_sum_cards(image.header)
    return to_bytes([first, image])


def environment() -> bytes:
    """A header and nothing else; no checksums."""
    hdu = primary(origin="XMPL-ENV", instrument="ENVMON", extend=False)
    add_eso(
        hdu.header,
        (
            ("TEL AMBI TEMP", 9.9, "[C] temperature"),
            ("TEL AMBI RHUM", 12, "[%] relative humidity"),
            ("TEL AMBI PRES START", 712.4, "[hPa] pressure"),
            ("TEL AMBI WINDSP", 6.4, "[m/s] wind speed"),
            ("TEL AMBI IRSKY TEMP", -91.5, "[C] sky in the infrared"),
        ),
    )
    hdu.header.add_comment("Averages over the exposure.")
    return to_bytes([hdu])


# --- the malformed -------------------------------------------------------------------------------------------------------------------


def card(keyword: str, value: str) -> bytes:
    """One card with a fixed-format value, unchecked."""
    text = f"{keyword:8}= {value:<20}" if value.startswith("'") else f"{keyword:8}= {value:>20}"
    return text.ljust(CARD).encode("latin-1")


def header_unit(*cards: bytes, end: bool = True) -> bytes:
    """A header unit of `cards`, padded to whole blocks."""
    text = b"".join(cards) + (b"END".ljust(CARD) if end else b"")
    return text + b" " * (-len(text) % BLOCK)


def image_head(bitpix: str, *axes: str) -> list[bytes]:
    """The mandatory cards of a primary HDU with an image."""
    cards = [card("SIMPLE", "T"), card("BITPIX", bitpix), card("NAXIS", str(len(axes)))]
    return cards + [card(f"NAXIS{number}", axis) for number, axis in enumerate(axes, start=1)]


def malformed() -> Iterator[tuple[str, bytes]]:
    """Each defect and its file. One defect a file, and each is small."""
    block = bytes(BLOCK)
    plain = image_head("8")
    yield "empty", b""
    yield "not_fits", b"This is a letter, not a FITS file.\n" * 100
    yield "truncated_header", header_unit(*plain, card("OBJECT", "'STD-42  '"))[:200]
    yield "truncated_data", header_unit(*image_head("16", "100", "100")) + block
    yield "missing_end", header_unit(*plain, card("OBJECT", "'STD-42  '"), end=False)
    yield "bad_bitpix", header_unit(*image_head("12", "10", "10")) + block
    yield "naxis_1000", header_unit(card("SIMPLE", "T"), card("BITPIX", "8"), card("NAXIS", "1000"))
    yield "negative_naxis1", header_unit(*image_head("16", "-100", "10")) + block
    yield "size_overflow", header_unit(*image_head("-64", *["4294967296"] * 3)) + block
    yield (
        "pcount_overflow",
        header_unit(*plain, card("EXTEND", "T"))
        + header_unit(
            card("XTENSION", "'BINTABLE'"),
            card("BITPIX", "8"),
            card("NAXIS", "2"),
            card("NAXIS1", "8"),
            card("NAXIS2", "1"),
            card("PCOUNT", "9223372036854775807"),
            card("GCOUNT", "1"),
            card("TFIELDS", "1"),
            card("TFORM1", "'1PE     '"),
        )
        + block,
    )
    yield "lowercase_keyword", header_unit(*plain, card("object", "'STD-42  '"))
    yield "non_ascii_card", header_unit(*plain, card("OBSERVER", "'Jos\xe9    '"))
    cards = [*image_head("16", "10", "10"), card("DATASUM", "'1234567890'")]
    yield "wrong_datasum", header_unit(*cards) + bytes(range(200)) + bytes(BLOCK - 200)


# --- command line --------------------------------------------------------------------------------------------------------------------


def samples() -> dict[str, bytes]:
    """Every file of testdata/fits by its name in that folder."""
    good = (detector_mosaic, detector_single, telemetry, guider_cube, target, environment)
    files = {f"{make.__name__}.fits": make() for make in good}
    files.update((f"malformed/{name}.fits", data) for name, data in malformed())
    return files


def stale_digests(folder: Path) -> Iterator[str]:
    """A complaint for each source of a good specification whose sha256 is not that of the file that it names."""
    for path in sorted(folder.glob("*.json")):
        for source in json.loads(path.read_text(encoding="utf-8"))["sources"]:
            digest = source.get("digest")
            if digest and digest["algorithm"] == "sha256":
                actual = hashlib.sha256((folder / source["location"]).read_bytes()).hexdigest()
                if actual != digest["value"]:
                    yield f"{path.name}: the sha256 of {source['location']} is {actual}"


def main() -> int:
    """Writes or compares; the exit code."""
    parser = argparse.ArgumentParser(description="Makes the sample FITS files in testdata/fits.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the files or digests that are there differ")
    check = parser.parse_args().check
    warnings.simplefilter("error")
    folder = HERE / "fits"
    files = samples()
    faults = []
    for name, data in files.items():
        path = folder / name
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        elif not path.is_file() or path.read_bytes() != data:
            faults.append(f"fits/{name} is not what make_samples.py makes")
    if check:
        strangers = {str(path.relative_to(folder)) for path in folder.rglob("*.fits")} - files.keys()
        faults += [f"fits/{name} is not made by make_samples.py" for name in sorted(strangers)]
    faults += stale_digests(HERE / "specs")
    for fault in faults:
        print(fault, file=sys.stderr)
    verb = "compared" if check else "wrote"
    print(f"{verb} {len(files)} files, {sum(map(len, files.values()))} bytes: {'FAULTY' if faults else 'good'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
