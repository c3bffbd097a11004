#!/usr/bin/env python3
"""Judges merges: is each product what its specification and its sources say, to the byte and to the card?

    matrix_judge.py CASES.json

CASES.json is a list of {"name", "specification", "product"} (paths). What a product must be is derived here, from the
rules of the ELT's specification, with no code of dpm: HDUs are found by astropy and by a reader of this file, which must
agree; headers are compared as bytes and as astropy reads them; data units as bytes. fitsverify judges sources and
products: where it finds no error in any source, it must find none in the product.

Prints one line of JSON with counts and faults; exit code 1 where there are faults.
Run it with .venv/bin/python, which tests/setup makes.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

BLOCK, CARD = 2880, 80
OWN = ["DATE", "ORIGFILE", "ARCFILE", "CHECKSUM", "DATASUM"]
"""Keywords that the merger writes itself."""
CATEGORIES = ["DPR", "OBS", "TPL", "GEN", "TEL", "ADA", "INS", "DET"]

STRUCTURAL = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|TFIELDS|TFORM\d*|TBCOL\d+|END|CONTINUE"
)
"""Never copied into another HDU (ELT, keyword classes; CONTINUE because its meaning is its neighbour's)."""
CORE = re.compile(
    r"BSCALE|BZERO|BUNIT|BLANK|DATAMIN|DATAMAX|EXTEND|BLOCKED|INHERIT|EXTNAME|EXTVER|EXTLEVEL|CHECKSUM|DATASUM|DATE|ORIGFILE|ARCFILE"
    r"|ZHECKSUM|ZDATASUM|THEAP|T(TYPE|UNIT|NULL|SCAL|ZERO|DISP|DIM|LMIN|LMAX|DMIN|DMAX)\d+|P(TYPE|SCAL|ZERO)\d+|CROTA\d+"
    r"|(WCSAXES|WCSNAME|LONPOLE|LATPOLE|SPECSYS|SSYSOBS|SSYSSRC|VELOSYS|VELANGL|ZSOURCE|RESTFRQ|RESTWAV|RESTFREQ)[A-Z]?"
    r"|(EQUINOX|RADESYS)[A-Z]|(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CNAME|CRDER|CSYER|CZPHS|CPERI)\d+[A-Z]?|(PC|CD|PV|PS)\d+_\d+[A-Z]?"
    r"|[AB]P?_(ORDER|DMAX|\d+_\d+)"
)
"""Describe the HDU that they stand in: copied only where a rule selects them."""


# --- raw bytes -----------------------------------------------------------------------------------------------------------------------


@dataclass
class Record:
    """A keyword with all its cards."""

    kind: str
    """`v` value, `e` ESO, `c` commentary."""
    name: str
    """The logical name."""
    cards: list[bytes]
    renamed: bool = False
    chosen: bool = False

    @property
    def keyword_class(self) -> str:
        """structural, core or user."""
        if self.kind == "e" or " " in self.name or self.cards[0].startswith(b"HIERARCH "):
            return "user"
        if STRUCTURAL.fullmatch(self.name):
            return "structural"
        return "core" if CORE.fullmatch(self.name) else "user"

    def parsed(self) -> list[Any]:
        """Value and comment as astropy reads them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = fits.Header.fromstring(b"".join(self.cards).decode("ascii"))
            card = header.cards[0]
            value = card.value
            return ["undefined" if isinstance(value, fits.card.Undefined) else repr(value), card.comment]


@dataclass
class Hdu:
    """An HDU as bytes."""

    offset: int
    data_offset: int
    data: bytes
    cards: list[bytes]
    """Those before END."""

    def raw(self, keyword: str) -> str | None:
        """The text behind `KEYWORD=`, without its comment where it is no string."""
        start = f"{keyword:<8}=".encode()
        card = next((card for card in self.cards if card.startswith(start)), None)
        if card is None:
            return None
        text = card[9:].decode("latin-1").strip()
        return text.split("'")[1].rstrip() if text.startswith("'") else text.split("/")[0].strip()

    def integer(self, keyword: str, default: int = 0) -> int:
        """An integer value."""
        text = self.raw(keyword)
        return int(text) if text else default


@cache
def read(path: Path) -> list[Hdu]:
    """The HDUs of a file; what follows the last one is left out, missing padding is added."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    hdus: list[Hdu] = []
    offset = 0
    while content[offset : offset + 8] in (b"SIMPLE  ", b"XTENSION"):
        cards, place = [], offset
        while (card := content[place : place + CARD]).rstrip() != b"END":
            cards.append(card)
            place += CARD
        data_offset = offset + -(-(place + CARD - offset) // BLOCK) * BLOCK
        hdu = Hdu(offset, data_offset, b"", cards)
        axes = [hdu.integer(f"NAXIS{axis + 1}") for axis in range(hdu.integer("NAXIS"))]
        if offset == 0 and axes[:1] == [0] and hdu.raw("GROUPS") == "T":
            axes = axes[1:]
        elements = 1 if axes else 0
        for length in axes:
            elements *= length
        size = abs(hdu.integer("BITPIX")) // 8 * hdu.integer("GCOUNT", 1) * (hdu.integer("PCOUNT") + elements)
        padded = -(-size // BLOCK) * BLOCK
        fill = b" " if hdu.raw("XTENSION") == "TABLE" else b"\0"
        hdu.data = content[data_offset : data_offset + padded].ljust(padded, fill)
        hdus.append(hdu)
        offset = data_offset + padded
    return hdus


def is_open(card: bytes) -> bool:
    """Whether the string of a card ends with `&`."""
    match = re.search(rb"^(?:.{8}= |HIERARCH [^=']*=|CONTINUE  ) *'((?:[^']|'')*)'", card)
    return bool(match) and match[1].rstrip(b" ").endswith(b"&")


def record_of(card: bytes) -> Record:
    """The record that a card opens."""
    text = card.decode("ascii")
    name = text[:8].rstrip()
    if text[8:10] == "= " and name not in ("", "COMMENT", "HISTORY", "CONTINUE"):
        return Record("v", name, [card])
    match = re.match(r"HIERARCH ([^=']*)=", text)
    if match and match[1].strip():
        words = match[1].split()
        is_eso = words[0] == "ESO" and len(words) > 1
        return Record("e" if is_eso else "v", " ".join(words[is_eso:]), [card])
    return Record("c", name, [card])


def records(cards: list[bytes]) -> list[Record]:
    """Groups cards; blank cards at the end are room, and none."""
    cards = list(cards)
    while cards and not cards[-1].strip():
        cards.pop()
    found: list[Record] = []
    open_string = False
    for card in cards:
        if open_string and card.startswith(b"CONTINUE  ") and re.match(rb"CONTINUE   *'", card):
            found[-1].cards.append(card)
        else:
            found.append(record_of(card))
            open_string = found[-1].kind != "c"
        open_string = open_string and is_open(card)
    return found


# --- the specification's rules ---------------------------------------------------------------------------------------------------------


def selects(patterns: list[str], record: Record) -> bool:
    """The last pattern that matches decides."""
    selected = False
    for pattern in patterns:
        kinds, _, glob = pattern[1:].partition(" ")
        expression = re.sub(r"[*?]", lambda match: ".*" if match[0] == "*" else ".", glob).replace("[!", "[^")
        if record.kind in kinds and re.fullmatch(expression, record.name):
            selected = pattern[0] == "+"
    return selected


def apply_rules(rules: list[dict[str, Any]] | None, offered: list[Record]) -> list[Record]:
    """What the rules of one source let pass."""
    offered = [Record(record.kind, record.name, record.cards) for record in offered if record.keyword_class != "structural"]
    if rules is None:
        return [record for record in offered if record.keyword_class == "user"]
    if not rules:
        return []
    for rule in rules:
        if rule["type"] == "filter":
            offered = [record for record in offered if selects(rule["selectionPatterns"], record)]
            for record in offered:
                record.chosen = True
            continue
        for record in offered:
            if selects(rule["selectionPatterns"], record):
                record.chosen = True
                name = re.sub(rule["regex"], rule["format"].replace("$", "\\"), record.name)
                record.renamed |= name != record.name
                record.name = name
    return [record for record in offered if record.chosen or record.keyword_class == "user"]


def json_records(source: dict[str, Any]) -> list[Record]:
    """Keywords of the specification, written by astropy: only their names, values and comments are compared."""
    found = []
    for keyword in source["keywords"]:
        if keyword["type"] == "literalKeyword":
            found.append(record_of(f"{keyword['value']:<80}".encode()))
            continue
        is_eso = keyword["type"] == "esoKeyword"
        name = f"HIERARCH ESO {keyword['name']}" if is_eso else keyword["name"]
        header = fits.Header()
        header[name] = (keyword["value"], keyword.get("comment", ""))
        text = header.tostring(endcard=False, padding=False)
        cards = [text[place : place + CARD].encode() for place in range(0, len(text), CARD)]
        found.append(Record("e" if is_eso else "v", keyword["name"], cards, renamed=True))
    return found


def merged(specification: dict[str, Any]) -> list[Record]:
    """The keywords of the product's primary header, in order."""
    contributions = []
    for source in specification["sources"]:
        rules = source.get("keywordRules")
        if source["type"] == "fitsKeywords":
            own = json_records(source)
            contributions.append(own if rules is None else apply_rules(rules, own))
        else:
            contributions.append(apply_rules(rules, records(read(Path(source["location"]))[0].cards)))
    if base := specification["target"].get("source"):
        primary = read(Path(base["location"]))[0]
        contributions.append([record for record in records(primary.cards) if record.keyword_class == "user"])
    found: list[Record] = []
    seen = set()
    for record in [record for contribution in contributions for record in contribution]:
        key = (record.kind, record.name, record.cards[0].startswith(b"HIERARCH"))
        if record.kind == "v" and record.name in OWN:
            continue
        if record.kind != "c":
            if key in seen:
                continue
            seen.add(key)
        found.append(record)
    if specification["target"].get("sort") == "none":
        return found
    later = list(dict.fromkeys(record.name.split()[0] for record in found if record.kind == "e"))
    order = CATEGORIES + [category for category in later if category not in CATEGORIES]


    def rank(record: Record) -> int:
        """Value keywords, ESO keywords by category, commentary."""
        if record.kind == "e":
            return 1 + order.index(record.name.split()[0])
        return 0 if record.kind == "v" else len(order) + 1

    return sorted(found, key=rank)


# --- comparing -------------------------------------------------------------------------------------------------------------------------


@dataclass
class Judge:
    """What was compared, and what is wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    name: str = ""

    def expect(self, holds: bool, what: str) -> None:
        """Notes a fault unless it holds."""
        if not holds:
            self.faults.append(f"{self.name}: {what}")

    def extension(self, label: str, source: Hdu, made: Hdu, may_number: bool) -> None:
        """Data and cards are the source's, but for the sums, and EXTVER where names are made unique."""
        self.expect(made.data == source.data, f"{label}: its data unit differs")
        self.counts["data units"] += 1
        self.counts["data bytes"] += len(made.data)
        changing = [b"CHECKSUM", b"DATASUM "] + ([b"EXTVER  "] if may_number else [])
        own = without_further_sums(source.cards)
        kept = [card for card in own if card[:8] not in changing]
        found = [card for card in made.cards if card[:8] not in changing]
        while kept and not kept[-1].strip():
            kept.pop()
        while found and not found[-1].strip():
            found.pop()
        self.expect(kept == found, f"{label}: its cards differ: {differing(kept, found)}")
        self.counts["cards"] += len(found)
        places = [index for index, card in enumerate(own) if card[:8] in changing]
        same = all(made.cards[index][:8] == own[index][:8] for index in places)
        self.expect(same, f"{label}: a sum or EXTVER has moved")

    def pixels(self, label: str, source: Hdu, made: Hdu, source_name: str) -> None:
        """The pixels of a primary HDU as an extension."""
        self.expect(made.data == source.data, f"{label}: its data unit differs")
        self.counts["data units"] += 1
        self.counts["data bytes"] += len(made.data)
        for keyword in ["BITPIX", "NAXIS", "BSCALE", "BZERO", "BLANK", "BUNIT", "CTYPE1", "CRVAL1", "CD1_1", "RADESYS", "A_ORDER"]:
            self.expect(made.raw(keyword) == source.raw(keyword), f"{label}: {keyword} differs")
        self.expect(made.raw("EXTNAME") == source_name and made.raw("XTENSION") == "IMAGE", f"{label}: it is not {source_name}")

    def primary(self, specification: dict[str, Any], made: Hdu) -> None:
        """Structure, the merger's own keywords, the merged ones in order, and nothing else."""
        expected = merged(specification)
        base = specification["target"].get("source")
        if base:
            own = read(Path(base["location"]))[0]
            fixed = [record for record in records(own.cards) if record.keyword_class != "user" and record.kind != "c"]
            fixed = [record for record in fixed if record.name not in [*OWN, "EXTEND"]]
            first: dict[str, Record] = {}
            for record in fixed:
                first.setdefault(record.name, record)
            fixed = list(first.values())
            structure = sorted(fixed, key=lambda record: record.keyword_class == "core")
            names = [record.name for record in structure if record.keyword_class == "structural"]
            names += ["EXTEND"] + [record.name for record in structure if record.keyword_class == "core"]
            held = {record.name: record for record in structure}
            if own.data:
                scaling = [record for record in expected if record.name in ("BSCALE", "BZERO", "BLANK")]
                expected = [record for record in expected if record not in scaling]
            expected = [record for record in expected if record.kind != "v" or record.name not in held]
        else:
            names, held = ["SIMPLE", "BITPIX", "NAXIS", "EXTEND"], {}
        names += ["DATE", "ORIGFILE", "ARCFILE"]
        found = records(made.cards)
        sums = [record.name for record in found[-2:]]
        self.expect(sums == ["CHECKSUM", "DATASUM"], f"primary: the sums are not last: {sums}")
        found = found[:-2]
        head, rest = found[: len(names)], found[len(names) :]
        self.expect([record.name for record in head] == names, f"primary: begins with {[record.name for record in head]}, not {names}")
        for record in head:
            if record.name in held:
                self.expect(record.cards == held[record.name].cards, f"primary: the target's {record.name} was changed")
        expected = [record for record in expected if record.kind != "v" or record.name not in names]
        shown = [(record.kind, record.name) for record in rest]
        wanted = [(record.kind, record.name) for record in expected]
        if shown != wanted:
            self.expect(False, f"primary: keywords differ: {differing(wanted, shown)}")
            return
        for record, want in zip(rest, expected, strict=True):
            if want.renamed:
                self.expect(record.parsed() == want.parsed(), f"primary: {record.name} is {record.parsed()}, not {want.parsed()}")
            else:
                self.expect(record.cards == want.cards, f"primary: {record.name} is not copied byte for byte: {record.cards}")
        self.counts["keywords"] += len(rest)

    def sums(self, index: int, made: Hdu) -> None:
        """DATASUM is the sum of the data unit, and the whole HDU sums to minus zero (FITS 4.0, appendix J)."""
        header = b"".join([*made.cards, b"END".ljust(CARD)])
        header = header.ljust(-(-len(header) // BLOCK) * BLOCK)
        datasum = ones_complement(made.data)
        self.expect(made.raw("DATASUM") == str(datasum), f"HDU {index}: DATASUM is {made.raw('DATASUM')}, the data sums to {datasum}")
        total = ones_complement(header + made.data)
        self.expect(total == 0xFFFFFFFF, f"HDU {index} sums to {total:#010x}, not to -0")

    def case(self, case: dict[str, str], is_legal: bool) -> None:
        """One product."""
        self.name = case["name"]
        specification = json.loads(Path(case["specification"]).read_text())
        product = Path(case["product"])
        made = read(product)
        self.counts["products"] += 1
        self.counts["HDUs"] += len(made)
        size = made[-1].data_offset + len(made[-1].data)
        self.expect(product.stat().st_size == size, f"the file has {product.stat().st_size} bytes, its HDUs {size}")
        for index, hdu in enumerate(made):
            self.sums(index, hdu)
        self.primary(specification, made[0])
        rest = list(enumerate(made))[1:]
        is_unique = specification["target"].get("extensionNames") == "unique"
        target = specification["target"].get("source")
        if target:
            self.expect(made[0].data == read(Path(target["location"]))[0].data, "the data of the target's primary HDU differs")
        files = ([target] if target else []) + [source for source in specification["sources"] if source["type"] == "fitsFile"]
        for source in files:
            hdus = read(Path(source["location"]))
            is_image = hdus[0].data and hdus[0].raw("GROUPS") != "T"
            if source is not target and source.get("primaryData") == "asExtension" and is_image:
                index, hdu = rest.pop(0)
                self.pixels(f"HDU {index}", hdus[0], hdu, source["sourceName"])
            for extension in hdus[1:]:
                if not rest:
                    self.expect(False, f"an extension of {source['sourceName']} is missing")
                    return
                index, hdu = rest.pop(0)
                self.extension(f"HDU {index}", extension, hdu, is_unique)
        self.expect(not rest, f"{len(rest)} HDUs are from nowhere")
        if is_unique:
            names = [(hdu.raw("EXTNAME").upper(), hdu.integer("EXTVER", 1)) for hdu in made[1:] if hdu.raw("EXTNAME")]
            self.expect(len(names) == len(set(names)), f"names are not unique: {names}")
        self.astropy(product, made, [Path(source["location"]) for source in files], is_legal)

    def astropy(self, product: Path, made: list[Hdu], sources: list[Path], is_legal: bool) -> None:
        """astropy sees the same HDUs, finds the sums right, and reads the data wherever it reads the sources'."""
        complaints = [text for source in sources for text in opened(source)[1]]
        hdus, texts = opened(product)
        self.expect(hdus == [(hdu.offset, hdu.data_offset, len(hdu.data)) for hdu in made], "astropy sees other HDUs")
        new = [text for text in texts if text not in complaints]
        # Cards that are not legal are mended by astropy before it sums a header: it then finds its own sum wrong.
        self.expect(not new or not is_legal, f"astropy complains: {new}")


def without_further_sums(cards: list[bytes]) -> list[bytes]:
    """`cards` with spaces in place of each CHECKSUM and DATASUM behind the first: only that one is renewed."""
    seen: set[bytes] = set()
    kept = []
    for card in cards:
        is_sum = card[:9] in (b"CHECKSUM=", b"DATASUM =")
        kept.append(b" " * CARD if is_sum and card[:9] in seen else card)
        seen.add(card[:9])
    return kept


def ones_complement(data: bytes) -> int:
    """The 32-bit ones'-complement sum of whole words."""
    total = int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def differing(first: list[Any], second: list[Any]) -> str:
    """Where two lists differ first."""
    pairs = zip([*first, None], [*second, None], strict=False)
    return next((f"at {index} {one!r} against {other!r}" for index, (one, other) in enumerate(pairs) if one != other), "in length")


@cache
def opened(path: Path) -> tuple[list[tuple[int, int, int]], tuple[str, ...]]:
    """The HDUs that astropy sees, and its complaints (wrong sums among them)."""
    texts, places = [], []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with fits.open(path, checksum=True, lazy_load_hdus=False, disable_image_compression=True) as hdus:
                hdus.verify("warn")
                for hdu in hdus:
                    place = hdu.fileinfo()
                    places.append((place["hdrLoc"], place["datLoc"], place["datSpan"]))
                    try:
                        _ = hdu.data
                    except Exception as error:  # noqa: BLE001
                        texts.append(f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001
            texts.append(f"{type(error).__name__}: {error}")
    texts += [" ".join(str(warning.message).split()) for warning in caught if not issubclass(warning.category, ResourceWarning)]
    return places, tuple(re.sub(r"HDU #?\d+|card index \d+", "", text) for text in texts)


def fitsverify(paths: list[Path]) -> dict[Path, int]:
    """The number of errors that fitsverify finds in each file; 999 where it dies of the file."""
    errors: dict[Path, int] = {}
    for start in range(0, len(paths), 20):
        group = paths[start : start + 20]
        errors |= fitsverify_group(group)
        for path in group:
            # It died of one of them: each is tried alone.
            if path not in errors:
                errors[path] = fitsverify_group([path]).get(path, 999)
    return errors


def fitsverify_group(group: list[Path]) -> dict[Path, int]:
    """One run of fitsverify: a line for each file until it dies."""
    done = subprocess.run(["fitsverify", "-q", *map(str, group)], capture_output=True, text=True, errors="replace", check=False)
    errors = {}
    for path in group:
        line = next((line for line in done.stdout.splitlines() if line.endswith(f": {path}") or f": {path}," in line), "")
        if found := re.search(r"(\d+) errors?", line):
            errors[path] = int(found[1])
        elif line.startswith("verification OK"):
            errors[path] = 0
    return errors


def main() -> int:
    """Judges all cases; the exit code."""
    cases = json.loads(Path(sys.argv[1]).read_text())
    judge = Judge()
    inputs = {}
    for case in cases:
        specification = json.loads(Path(case["specification"]).read_text())
        files = [*specification["sources"], specification["target"].get("source") or {}]
        inputs[case["name"]] = [Path(source["location"]) for source in files if "location" in source]
    sources = sorted({path for paths in inputs.values() for path in paths})
    source_errors = fitsverify(sources)
    product_errors = fitsverify([Path(case["product"]) for case in cases])
    legal = []
    for case in cases:
        judge.name = case["name"]
        is_legal = all(source_errors[path] == 0 for path in inputs[case["name"]])
        try:
            judge.case(case, is_legal)
        except Exception as error:  # noqa: BLE001
            judge.expect(False, f"the judge cannot read it: {type(error).__name__}: {error}")
        if is_legal:
            legal.append(case["name"])
            count = product_errors[Path(case["product"])]
            judge.expect(count == 0, f"fitsverify finds {count} errors in {case['product']}")
    illegal = [str(path) for path in sources if source_errors[path]]
    print(json.dumps({"counts": judge.counts, "sources": len(sources), "illegal": illegal, "legal": legal, "faults": judge.faults}))
    return 1 if judge.faults else 0


if __name__ == "__main__":
    sys.exit(main())
