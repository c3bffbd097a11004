//! A specification written for the ELT is accepted unchanged and runs to its end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::common::daemon::Daemon;
use crate::common::{Scene, fits, judge, sample};

const ID: &str = "XMPL.2031-02-03T04:05:06.789";

/// The specification as an ELT system writes it, on this host; `{...}` stand for places of this test.
const TEXT: &str = r#"{
  "id": "XMPL.2031-02-03T04:05:06.789",
  "sources": [
    {"type": "fitsKeywords", "sourceName": "ocm", "keywords": [
      {"type": "valueKeyword", "name": "OBJECT", "value": "STD-42"},
      {"type": "valueKeyword", "name": "RA", "value": 12.5, "comment": "[deg] pointing"},
      {"type": "esoKeyword", "name": "TPL ID", "value": "XMPL_img_obs", "comment": "Template id"},
      {"type": "literalKeyword", "value": "HISTORY assembled for test"}]},
    {"type": "fitsFile", "sourceName": "ao", "location": "{host}:{data}/telemetry.fits",
     "alertUnmergeable": false,
     "keywordRules": [
       {"type": "filter", "selectionPatterns": ["+e AOS *", "-e AOS DEBUG *", "+v DATE-OBS"]},
       {"type": "transform", "selectionPatterns": ["+e AOS *"], "regex": "^AOS ", "format": "AOS1 "}]},
    {"type": "fitsFile", "sourceName": "env", "location": "{host}:{data}/environment.fits", "keywordRules": []}
  ],
  "target": {"fileId": "XMPL.2031-02-03T04:05:06.789",
             "source": {"type": "fitsFile", "sourceName": "det", "location": "{host}:{data}/detector_mosaic.fits"}},
  "receivers": [{"type": "olasReceiver", "path": "{ingest}", "options": {"allowSymlink": false}}],
  "keywordDictionaries": ["ESO-VLT-DIC.XMPL.did"]
}"#;

fn host() -> String {
    rustix::system::uname().nodename().to_str().unwrap().to_owned()
}

fn text(scene: &Scene) -> String {
    let data = sample("").to_str().unwrap().trim_end_matches('/').to_owned();
    TEXT.replace("{host}", &host())
        .replace("{data}", &data)
        .replace("{ingest}", scene.folder("ingest").to_str().unwrap())
}

/// Queues `text` with the client and waits; the product must be a second name of the workspace's file.
#[track_caller]
fn runs_to_its_end(scene: &Scene, text: &str) {
    let spec = scene.write("spec.json", text);
    scene.dpm(["check", spec.to_str().unwrap()]).expect(0);
    let daemon = Daemon::start(scene);
    let run = daemon.dpm(&["queue", "--wait", "--json", spec.to_str().unwrap()]).expect(0);
    let status = &run.json()[0];
    assert_eq!((&status["subState"], &status["state"]), (&"Completed".into(), &"StateCompleted".into()));
    let delivered = scene.path("ingest").join(format!("{ID}.fits"));
    let (here, there) = (fs::symlink_metadata(daemon.product(ID)).unwrap(), fs::symlink_metadata(&delivered).unwrap());
    assert_eq!((here.dev(), here.ino()), (there.dev(), there.ino()), "a hard link");
    assert!(there.is_file() && there.nlink() == 2);
    let cards = judge::cards(&delivered, "0");
    let has = |keyword: &str| cards.iter().any(|card| card.0 == keyword);
    assert!(has("ESO AOS1 LOOP STATE") && !has("ESO AOS LOOP STATE") && has("ESO TPL ID"));
    judge::sound(&[&delivered]);
    let names: Vec<String> = fits::read(&delivered).into_iter().map(|hdu| hdu.name).collect();
    assert_eq!(names, ["", "CHIP1.INT1", "CHIP2.INT1", "CHIP3.INT1", "CHIP4.INT1", "AOS_LOOP", "EVENTS"]);
    daemon.until_folder_gone(ID);
    daemon.exit();
}

#[test]
fn an_elt_specification_runs_unchanged_and_its_product_is_a_hard_link() {
    let scene = Scene::new();
    let text = text(&scene);
    runs_to_its_end(&scene, &text);
    assert_eq!(fs::read_to_string(scene.path("spec.json")).unwrap(), text);
}

#[test]
fn the_older_names_of_the_source_types_are_accepted() {
    for (file, keywords) in [("SourceFitsFile", "SourceFitsKeywords"), ("FitsFileSource", "FitsKeywordsSource")] {
        let scene = Scene::new();
        let text = text(&scene).replace("\"fitsFile\"", &format!("\"{file}\""));
        runs_to_its_end(&scene, &text.replace("\"fitsKeywords\"", &format!("\"{keywords}\"")));
    }
}

#[test]
fn the_specification_is_kept_verbatim_while_the_daq_lives() {
    let scene = Scene::new();
    let text = text(&scene).replace("environment.fits", "absent.fits");
    let spec = scene.write("spec.json", &text);
    let daemon = Daemon::start(&scene);
    daemon.dpm(&["queue", spec.to_str().unwrap()]).expect(0);
    daemon.until_parked(ID);
    let kept = fs::read_to_string(daemon.daq_folder(ID).join("specification.json")).unwrap();
    assert_eq!(kept, text);
}

#[test]
fn an_ingestion_folder_that_is_not_there_parks_the_daq_in_releasing() {
    let scene = Scene::new();
    let text = text(&scene);
    fs::remove_dir(scene.path("ingest")).unwrap();
    let spec = scene.write("spec.json", text);
    let daemon = Daemon::start(&scene);
    daemon.dpm(&["queue", spec.to_str().unwrap()]).expect(0);
    let alert = daemon.until_parked(ID);
    assert!(alert["description"].as_str().unwrap().contains("ingest"), "{alert}");
    assert_eq!(daemon.status(ID)["subState"], "Releasing");
    scene.folder("ingest");
    daemon.dpm(&["retry", ID]).expect(0);
    daemon.until_completed(ID);
    assert!(scene.path("ingest").join(format!("{ID}.fits")).exists());
}
