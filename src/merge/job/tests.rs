//! One merge from places to a published file.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use crate::control::Unwatched;
use crate::durable::new_file::Replace;
use crate::merge::fingerprint::Fingerprint;
use crate::merge::gzip::GzipLimits;
use crate::merge::job::{InputPlace, JobError, Remedy, locate, perform, prepare};
use crate::merge::options::MergeOptions;
use crate::merge::testing::{TestHdu, TestMerge, date, file, source, source_with, specification, synced};
use crate::status::with_causes;

fn merge() -> TestMerge {
    TestMerge::of(&[("a", file(&[TestHdu::primary(), TestHdu::image("A", 100)]))])
}

/// Prepares a merge of what `make` puts at the path.
fn refusal(make: impl Fn(&Path)) -> JobError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    make(&path);
    prepare(&merge().specification, &[InputPlace::of(path)], date(), GzipLimits::DEFAULT, None).expect_err("refused")
}

#[test]
fn only_regular_whole_files_are_sources() {
    let missing = refusal(|_| ());
    assert!(missing.is_missing_source() && missing.remedy() == Remedy::AskOperator, "{missing:?}");
    assert!(matches!(refusal(|path| std::fs::create_dir(path).unwrap()), JobError::NotRegular { .. }));
    let fifo = refusal(|path| {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap()
    });
    assert!(matches!(fifo, JobError::NotRegular { .. }), "{fifo:?}");
    let to_itself = refusal(|path| std::os::unix::fs::symlink(path, path).unwrap());
    assert!(matches!(to_itself, JobError::Open { .. }), "{to_itself:?}");
    let text = refusal(|path| std::fs::File::create(path).unwrap().write_all(b"text").unwrap());
    assert!(with_causes(&text).contains("source 'a'"), "{}", with_causes(&text));
    assert!(with_causes(&text).contains("no FITS file"), "{}", with_causes(&text));
}

#[test]
fn a_source_must_be_what_was_collected() {
    let folder = tempfile::tempdir().unwrap();
    let mut places = merge().write(folder.path());
    let fingerprint = Fingerprint::of(&std::fs::File::open(&places[0].path).unwrap()).unwrap();
    places[0].fingerprint = Some(fingerprint.clone());
    prepare(&merge().specification, &places, date(), GzipLimits::DEFAULT, None).unwrap();
    places[0].fingerprint = Some(Fingerprint { changed_ns: fingerprint.changed_ns + 1, ..fingerprint });
    let error = prepare(&merge().specification, &places, date(), GzipLimits::DEFAULT, None).expect_err("changed");
    assert!(matches!(error, JobError::ChangedSinceCollected { .. }) && error.remedy() == Remedy::RetryLater);
}

/// The plan ran over the end of the list and took the worker down.
#[test]
fn the_list_of_inputs_must_be_the_specifications() {
    let folder = tempfile::tempdir().unwrap();
    let place = merge().write(folder.path()).remove(0);
    for places in [vec![], vec![place.clone(), place.clone()]] {
        let error =
            prepare(&merge().specification, &places, date(), GzipLimits::DEFAULT, None).expect_err("wrong number");
        assert!(matches!(error, JobError::WrongInputs { expected: 1, .. }), "{error:?}");
    }
}

#[test]
fn outputs_are_replaced_only_on_request_and_never_half() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = merge().prepare(folder.path());
    let output = folder.path().join("out.fits");
    std::fs::File::create(&output).unwrap().write_all(b"old").unwrap();
    let error =
        perform(&prepared, &output, synced(Replace::Never), MergeOptions::default(), &Unwatched).expect_err("exists");
    assert!(matches!(error, JobError::OutputExists { .. }));
    assert_eq!(std::fs::read(&output).unwrap(), b"old");
    let (report, _) =
        perform(&prepared, &output, synced(Replace::Allowed), MergeOptions::default(), &Unwatched).unwrap();
    assert_eq!(std::fs::metadata(&output).unwrap().len(), report.bytes);
    let nowhere = perform(
        &prepared,
        &folder.path().join("no/out.fits"),
        synced(Replace::Never),
        MergeOptions::default(),
        &Unwatched,
    );
    assert!(matches!(nowhere, Err(JobError::Create { .. })));
    // A dangling link is a name that is taken.
    let link = folder.path().join("link.fits");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let error =
        perform(&prepared, &link, synced(Replace::Never), MergeOptions::default(), &Unwatched).expect_err("exists");
    assert!(matches!(error, JobError::OutputExists { .. }));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    assert!(merge().product().bytes == merge().product().bytes);
}

#[test]
fn files_are_found_below_the_root_and_on_this_host_only() {
    let at = |location: &str| {
        let one = specification(&[source_with("a", json!({"location": location}))], &json!({"source": source("det")}));
        locate(&one, Path::new("/night/of"), &["here".to_owned()])
            .map(|places| places.into_iter().map(|place| place.path.display().to_string()).collect::<Vec<_>>())
    };
    assert_eq!(at("sub/a.fits").unwrap(), ["/data/det.fits", "/night/of/sub/a.fits"]);
    assert_eq!(at("here:/x/a.fits").unwrap()[1], "/x/a.fits");
    let error = at("there:/x/a.fits").expect_err("elsewhere");
    assert_eq!(
        error.to_string(),
        "source 'a' is at there:/x/a.fits, not on this host: collect it first, or let the daemon do it"
    );
}

#[test]
fn an_empty_file_system_is_known_before_the_first_byte() {
    // More than any disk has: the last extension is sparse.
    let folder = tempfile::tempdir().unwrap();
    let bytes = 1_u64 << 50;
    let path = folder.path().join("a.fits");
    let mut header = file(&[TestHdu::primary()]);
    header.extend(TestHdu::image("A", 0).header().to_bytes());
    let mut sparse = std::fs::File::create(&path).unwrap();
    let text =
        String::from_utf8(header).unwrap().replace(&format!("NAXIS1  = {:>20}", 0), &format!("NAXIS1  = {bytes:>20}"));
    sparse.write_all(text.as_bytes()).unwrap();
    if sparse.set_len(5760 + bytes).is_err() {
        // This file system has no files of that size.
        return;
    }
    let prepared = prepare(&merge().specification, &[InputPlace::of(path)], date(), GzipLimits::DEFAULT, None).unwrap();
    let outcome = perform(
        &prepared,
        &folder.path().join("out.fits"),
        synced(Replace::Never),
        MergeOptions::default(),
        &Unwatched,
    );
    assert!(matches!(outcome, Err(JobError::NoSpace { .. } | JobError::Create { .. })), "{outcome:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
