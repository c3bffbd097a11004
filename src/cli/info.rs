//! `dpm info`: a line about each HDU, as astropy's `fitsinfo` writes it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::exit::{CliError, Exit};
use crate::cli::fits_file::{self, Shown};
use crate::cli::output;
use crate::fits::hdu::Hdu;
use crate::fits::overview::{Overview, Size};

/// Arguments of `dpm info`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  dpm info product.fits\n  dpm info --json night/*.fits\n\n\
Exit codes: 0 done; 65 a file is broken (what could be read is shown); 66 a file is missing")]
pub(crate) struct InfoArguments {
    /// FITS files, also compressed with gzip
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
}

/// A file for programs.
#[derive(Serialize)]
struct FileInfo {
    path: PathBuf,
    /// Those that could be read.
    hdus: Vec<HduInfo>,
    /// Why the file could not be read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// An HDU for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HduInfo {
    index: usize,
    name: String,
    version: i128,
    #[serde(rename = "type")]
    class: &'static str,
    cards: usize,
    /// NAXIS1 first; null for tables.
    axes: Option<Vec<u64>>,
    /// Null for what is no table.
    rows: Option<u64>,
    columns: Option<u64>,
    format: String,
    header_offset: u64,
    data_offset: u64,
    data_bytes: u64,
}

pub(crate) fn run(arguments: &InfoArguments) -> Result<Exit, CliError> {
    let mut all = Vec::new();
    let mut is_first = true;
    let exit = fits_file::each(&arguments.files, |path| {
        let mut hdus = Vec::new();
        let walked = fits_file::walk(path, &mut |shown| {
            if let Shown::Hdu(hdu) = shown {
                hdus.push(describe(hdu));
            }
            Ok(true)
        });
        if arguments.json {
            let error = walked.as_ref().err().map(|error| error.message.clone());
            all.push(FileInfo { path: path.to_owned(), hdus, error });
        } else if !hdus.is_empty() {
            let gap = if std::mem::take(&mut is_first) { "" } else { "\n" };
            let name = output::safe(&path.display().to_string());
            output::print(&format!("{gap}Filename: {name}\n{}", table(&hdus)))?;
        }
        walked
    });
    if arguments.json {
        output::print_json(&all)?;
    }
    Ok(exit)
}

fn describe(hdu: &Hdu) -> HduInfo {
    let Overview { name, version, class, cards, size, format } = Overview::of(hdu);
    let (axes, rows, columns) = match size {
        Size::Array(axes) | Size::Groups(axes, ..) => (Some(axes), None, None),
        Size::Table(rows, columns) => (None, Some(rows), Some(columns)),
    };
    let (header_offset, data_offset, data_bytes) = (hdu.header_offset, hdu.data_offset, hdu.structure.data_bytes);
    let index = hdu.index;
    HduInfo { index, name, version, class, cards, axes, rows, columns, format, header_offset, data_offset, data_bytes }
}

fn table(hdus: &[HduInfo]) -> String {
    let mut table = output::Table::new(&["#No.", "Name", "#Ver", "Type", "#Cards", "Dimensions", "Format"]);
    for hdu in hdus {
        let size = match (&hdu.axes, hdu.rows, hdu.columns) {
            (Some(axes), ..) => Size::Array(axes.clone()),
            (None, rows, columns) => Size::Table(rows.unwrap_or(0), columns.unwrap_or(0)),
        };
        table.row(vec![
            hdu.index.to_string(),
            output::safe(&hdu.name),
            hdu.version.to_string(),
            hdu.class.to_owned(),
            hdu.cards.to_string(),
            size.to_string(),
            output::safe(&hdu.format),
        ]);
    }
    table.text()
}
