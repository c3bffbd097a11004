//! The peer astropy: the same merge with `astropy.io.fits`, where `.venv` (tests/setup) has it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Opens all inputs, lists their extensions behind a new primary HDU, writes it with both sums.
///
/// `taken` makes each image anew from its pixels and its header, as merging scripts do; `left` hands the HDU itself on,
/// whose bytes astropy then copies without looking at them.
const PROGRAM: &str = "
import sys
from astropy.io import fits
how, output, inputs = sys.argv[1], sys.argv[2], sys.argv[3:]
product = fits.HDUList([fits.PrimaryHDU()])
own = {'SIMPLE', 'BITPIX', 'NAXIS', 'EXTEND', 'CHECKSUM', 'DATASUM'}
files = [fits.open(name) for name in inputs]
for file in files:
    if how == 'selected':
        for card in file[0].header.cards:
            if card.keyword not in own:
                name = card.keyword if len(card.keyword) <= 8 else 'HIERARCH ' + card.keyword
                product[0].header.set(name, card.value, card.comment)
    product.extend(fits.ImageHDU(hdu.data, hdu.header) if how == 'taken' else hdu for hdu in file[1:])
product.writeto(output, checksum=True)
";

/// How astropy is used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// Images from their pixels.
    Taken,
    /// HDUs as they are.
    Left,
    /// HDUs as they are, and the keywords of the primary headers.
    Selected,
}

/// The python of `.venv`, if it has astropy.
pub(crate) fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let has = Command::new(&python).args(["-c", "import astropy.io.fits"]).output();
    has.is_ok_and(|output| output.status.success()).then_some(python)
}

/// The command that merges `inputs` into `output`.
pub(crate) fn command(python: &Path, how: Use, output: &Path, inputs: &[PathBuf]) -> Command {
    let mut command = Command::new(python);
    let word = match how {
        Use::Taken => "taken",
        Use::Left => "left",
        Use::Selected => "selected",
    };
    command.args(["-W", "ignore", "-c", PROGRAM, word]).arg(output).args(inputs);
    command
}
