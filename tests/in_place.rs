//! Growing a file where it lies: on the file systems that can, judged, and killed at every call that changes something.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where something unexpected happens, its files need not survive a power cut, and it says what it did"
)]
#![allow(clippy::expect_used, reason = "only some of the shared helpers are used")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::daemon::Daemon;
use crate::common::{Scene, fits, judge, samples, temporaries};

/// Larger than what is written anew whatever the file system can do.
const TARGET_BYTES: u64 = (17 << 20) + 8;
/// Calls that change a file or a name.
const CHANGES: [&str; 9] =
    ["pwrite64", "fallocate", "ftruncate", "fsync", "fdatasync", "rename", "renameat2", "linkat", "unlink"];

/// A target with sums in `folder`, and a specification that adds an image and `keywords` keywords to it.
fn make(scene: &Scene, folder: &Path, keywords: usize) -> (PathBuf, PathBuf) {
    let image = fits::write_image(&folder.join("image.fits"), "BIG", TARGET_BYTES, 1);
    let target = folder.join("target.fits");
    let first = scene.spec("first.json", &samples::spec("first", &[samples::file("det", &image)], &[]));
    scene.dpm([OsStr::new("merge"), first.as_os_str(), OsStr::new("-o"), target.as_os_str()]).expect(0);
    let added = fits::write_image(&folder.join("added.fits"), "NEW", 300_000, 2);
    let mut specification = samples::spec("second", &[samples::file("guider", &added)], &[]);
    specification["target"]["source"] = samples::file("own", &target);
    let keyword = |index| json!({"type": "esoKeyword", "name": format!("DET NUM{index}"), "value": index});
    specification["sources"][0]["keywords"] = (0..keywords).map(keyword).collect::<Value>();
    (target, scene.spec("second.json", &specification))
}

fn in_place(scene: &Scene, spec: &Path, further: &[&str]) -> Command {
    let mut command = scene.command([OsStr::new("merge"), spec.as_os_str(), "--in-place".as_ref()]);
    command.args(["--checksum", "trust"]).args(further);
    command
}

/// Cards without room and sums of the whole HDU, and the data, of every HDU.
fn content(path: &Path) -> Vec<(Vec<String>, Vec<u8>)> {
    let is_content = |card: &String| !card.trim().is_empty() && !card.starts_with("CHECKSUM");
    let read =
        |hdu: &fits::Hdu| (hdu.cards.iter().filter(|card| is_content(card)).cloned().collect(), fits::data(path, hdu));
    fits::read(path).iter().map(read).collect()
}

/// Grows a target in `folder`, with and without room in its header, and compares it with a product written anew.
fn grows_in(scene: &Scene, folder: &Path, keeps_file: bool) {
    let (target, spec) = make(scene, folder, 200);
    let anew = scene.path("anew.fits");
    // Onto another file system, where nothing can be shared.
    scene.dpm([OsStr::new("merge"), spec.as_os_str(), "-o".as_ref(), anew.as_os_str()]).expect(0);
    let inode = target.metadata().unwrap().ino();
    common::finish(in_place(scene, &spec, &[]), b"").expect(0);
    assert_eq!(target.metadata().unwrap().ino() == inode, keeps_file, "the file itself has grown");
    assert!(content(&target) == content(&anew));
    assert_eq!(temporaries(folder), [""; 0]);
    judge::sound(&[&target, &anew]);
    // Now its header has room.
    common::finish(in_place(scene, &spec, &[]), b"").expect(0);
    judge::sound(&[&target]);
    fs::remove_file(&anew).unwrap();
}

#[test]
fn a_target_grows_where_it_lies() {
    let scene = Scene::new();
    let folder = scene.folder("data");
    grows_in(&scene, &folder, true);
}

/// A file system of its own in a file; unmounted at the end.
struct Mounted {
    _scene: Scene,
    folder: PathBuf,
}

impl Mounted {
    /// `None`, and says why, where this machine does not let us mount.
    fn new(kind: &str) -> Option<Mounted> {
        let scene = Scene::new();
        let (image, folder) = (scene.path("image"), scene.folder("mounted"));
        fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        let made = Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image).output();
        let made = made.expect("mkfs is there: apt-get install -y xfsprogs btrfs-progs e2fsprogs (tests/setup does)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mounted = Command::new("mount").args(["-o", "loop"]).args([&image, &folder]).output().unwrap();
        if !mounted.status.success() {
            eprintln!(
                "NOT TESTED on {kind}: {}; run as root where loop devices are: cargo test --test in_place",
                String::from_utf8_lossy(&mounted.stderr).trim()
            );
            return None;
        }
        Some(Mounted { _scene: scene, folder })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.folder).status();
    }
}

#[test]
fn a_target_grows_on_other_file_systems() {
    // On xfs and btrfs a copy that shares the blocks takes the name.
    for (kind, keeps_file) in [("ext4", true), ("xfs", false), ("btrfs", false)] {
        let Some(mounted) = Mounted::new(kind) else { continue };
        println!("{kind}");
        grows_in(&Scene::new(), &mounted.folder, keeps_file);
    }
}

/// Runs the merge and kills it on entry of its `number`th `call`; false if it ended before.
fn killed_at(scene: &Scene, spec: &Path, call: &str, number: usize) -> bool {
    let merge = in_place(scene, spec, &[]);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    traced.args(["-e", &format!("inject={call}:signal=SIGKILL:when={number}")]);
    traced.arg(merge.get_program()).args(merge.get_args());
    for (name, value) in merge.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced.current_dir(scene.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = traced.status().expect("strace is there: apt-get install -y strace (tests/setup does)");
    !status.success()
}

/// Kills the merge at each change in turn: afterwards, and after recovery, the file is the old one or the new one.
fn sweep(keywords: usize, fewest: usize) {
    let scene = Scene::new();
    let folder = scene.folder("data");
    let (target, spec) = make(&scene, &folder, keywords);
    let old = fs::read(&target).unwrap();
    let undone = folder.join(".target.fits.dpm-undo");
    let (mut kills, mut pending) = (0, 0);
    for call in CHANGES {
        for number in 1.. {
            if !killed_at(&scene, &spec, call, number) {
                break;
            }
            kills += 1;
            if undone.exists() {
                pending += 1;
                // Nobody takes it for a file.
                scene.dpm([OsStr::new("merge"), spec.as_os_str(), "-o".as_ref(), "x.fits".as_ref()]).expect(75);
                let run = common::finish(in_place(&scene, &spec, &["--dry-run"]), b"").expect(0);
                assert!(run.err.contains("undone"), "{}", run.err);
                assert!(!undone.exists());
                assert!(fs::read(&target).unwrap() == old, "killed at {call} {number}: restored to other bytes");
            } else if fs::read(&target).unwrap() != old {
                judge_new(&scene, &target);
                fs::write(&target, &old).unwrap();
            }
        }
        // The last try was not killed.
        judge_new(&scene, &target);
        fs::write(&target, &old).unwrap();
    }
    println!("{kills} kills, {pending} of them left something to undo");
    assert!(kills > fewest && pending > 3, "{kills} kills, {pending} pending");
}

#[track_caller]
fn judge_new(scene: &Scene, target: &Path) {
    scene.dpm([OsStr::new("verify"), target.as_os_str()]).expect(0);
    assert_eq!(fits::read(target).last().unwrap().name, "NEW");
}

#[test]
fn killed_at_every_change_while_room_is_inserted() {
    sweep(200, 8);
}

#[test]
fn killed_at_every_change_while_the_header_has_room() {
    sweep(2, 8);
}

/// Makes [`make`]'s merge one of a daemon, whose target is handed over; gives target and specification.
fn handed_over(scene: &Scene, receivers: &[Value]) -> (PathBuf, Value) {
    let (target, spec) = make(scene, &scene.folder("data"), 200);
    let mut specification: Value = serde_json::from_slice(&fs::read(spec).unwrap()).unwrap();
    specification["target"]["source"]["handover"] = json!(true);
    if !receivers.is_empty() {
        specification["receivers"] = json!(receivers);
    }
    (target, specification)
}

#[test]
fn a_target_that_is_handed_over_becomes_the_product() {
    let scene = Scene::new();
    let archive = scene.folder("archive");
    let (target, specification) = handed_over(&scene, &[samples::folder(&archive, "auto")]);
    let inode = target.metadata().unwrap().ino();
    let daemon = Daemon::start(&scene);
    daemon.queue(&specification);
    daemon.until_completed("second");
    let product = daemon.product("second.p");
    assert_eq!(product.metadata().unwrap().ino(), inode, "renamed and grown, never copied");
    assert!(!target.exists());
    judge_new(&scene, &product);
    assert_eq!(archive.join("second.p.fits").metadata().unwrap().ino(), inode);
    daemon.until_folder_gone("second");
    assert_eq!(temporaries(daemon.workspace()), [""; 0]);
}

#[test]
fn an_abort_gives_the_target_back_as_it_was() {
    let scene = Scene::new();
    let (target, specification) = handed_over(&scene, &[samples::folder(&scene.path("missing"), "auto")]);
    let old = fs::read(&target).unwrap();
    let daemon = Daemon::start(&scene);
    daemon.queue(&specification);
    daemon.until_parked("second");
    assert!(!target.exists() && daemon.product("second.p").exists(), "it is the product by now");
    daemon.dpm(&["abort", "second"]).expect(0);
    assert!(fs::read(&target).unwrap() == old, "the producer has its file again");
    assert!(!daemon.product("second.p").exists());
    daemon.until_folder_gone("second");
}
