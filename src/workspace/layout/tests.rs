//! Opening, naming and removing on real folders.

use std::os::unix::fs::{MetadataExt, symlink};

use crate::durable::{write_for_now, write_new};
use crate::workspace::{Workspace, WorkspaceError, WorkspaceErrorKind};

fn kind_of<T: std::fmt::Debug>(outcome: Result<T, WorkspaceError>) -> WorkspaceErrorKind {
    outcome.unwrap_err().kind
}

#[test]
fn a_new_workspace_has_its_folders_and_can_be_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/workspace");
    assert!(matches!(kind_of(Workspace::open_existing(&path)), WorkspaceErrorKind::NoWorkspace));
    for _ in 0..2 {
        let workspace = Workspace::open(&path).unwrap();
        for made in [workspace.root().to_path_buf(), workspace.inbox(), workspace.products(), workspace.daqs()] {
            assert_eq!(made.metadata().unwrap().mode() & 0o7777, 0o750, "{}", made.display());
        }
    }
    assert_eq!(std::fs::read_to_string(path.join("layout-version")).unwrap(), "1\n");
    Workspace::open_existing(&path).unwrap();
}

#[test]
fn foreign_folders_are_refused_and_untouched() {
    let check = |name: &str, text: &str, expected: fn(&WorkspaceErrorKind) -> bool| {
        let folder = tempfile::tempdir().unwrap();
        write_new(&folder.path().join(name), text.as_bytes()).unwrap();
        let kind = kind_of(Workspace::open(folder.path()));
        assert!(expected(&kind), "{kind:?}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    };
    check("layout-version", "2\n", |kind| matches!(kind, WorkspaceErrorKind::LayoutNewer { found: 2 }));
    check("layout-version", "0", |kind| matches!(kind, WorkspaceErrorKind::LayoutUnreadable { .. }));
    check("layout-version", "", |kind| matches!(kind, WorkspaceErrorKind::LayoutUnreadable { .. }));
    check("layout-version", &"\u{7}1".repeat(100), |kind| matches!(kind, WorkspaceErrorKind::LayoutUnreadable { .. }));
    check("state.db", "x", |kind| matches!(kind, WorkspaceErrorKind::NotAWorkspace { found: "state.db" }));
}

#[test]
fn an_unmounted_workspace_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(kind_of(Workspace::open_existing(folder.path())), WorkspaceErrorKind::NoWorkspace));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn links_in_the_place_of_folders_are_refused() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let workspace = Workspace::open(folder.path()).unwrap();
    symlink(elsewhere.path(), workspace.daqs().join("A")).unwrap();
    assert!(matches!(kind_of(workspace.daq_folder("A").unwrap().create("{}")), WorkspaceErrorKind::NotAFolder));
    assert_eq!(elsewhere.path().read_dir().unwrap().count(), 0);
    std::fs::remove_dir(workspace.products()).unwrap();
    symlink(elsewhere.path(), workspace.products()).unwrap();
    assert!(matches!(kind_of(Workspace::open(folder.path())), WorkspaceErrorKind::NotAFolder));
}

#[test]
fn names_never_leave_the_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(folder.path()).unwrap();
    for bad in ["..", "../x", "/etc", "a/b", "", "-x", "a\0b"] {
        assert!(matches!(kind_of(workspace.product_path(bad)), WorkspaceErrorKind::Name(_)), "{bad:?}");
        assert!(matches!(kind_of(workspace.daq_folder(bad)), WorkspaceErrorKind::Name(_)), "{bad:?}");
    }
    let daq = workspace.daq_folder("A.1").unwrap();
    assert_eq!(daq.path(), workspace.root().join("daq/A.1"));
    assert_eq!(daq.source_path(2, "/a/b.fits").parent(), Some(daq.sources().as_path()));
    assert_eq!(workspace.product_path("P:1").unwrap(), workspace.root().join("products/P:1.fits"));
}

#[test]
fn a_daq_folder_is_made_once_and_removed_once() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(folder.path()).unwrap();
    let daq = workspace.daq_folder("A").unwrap();
    for _ in 0..2 {
        daq.create("{ }").unwrap();
    }
    assert_eq!(std::fs::read_to_string(daq.specification()).unwrap(), "{ }");
    assert!(daq.sources().is_dir() && daq.logs().is_dir());
    // Torn by a power cut: the database has the whole one.
    for torn in ["", "{x", "{x}"] {
        write_for_now(&daq.specification(), torn.as_bytes()).unwrap();
        daq.create("{ }").unwrap();
        assert_eq!(std::fs::read_to_string(daq.specification()).unwrap(), "{ }");
    }
    daq.sync().unwrap();
    assert_eq!(workspace.daq_ids().unwrap(), ["A"]);
    for _ in 0..2 {
        daq.remove().unwrap();
    }
    assert_eq!(workspace.daq_ids().unwrap(), Vec::<String>::new());
}

#[test]
fn recovery_removes_temporary_files_only() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(folder.path()).unwrap();
    let daq = workspace.daq_folder("A").unwrap();
    daq.create("{}").unwrap();
    for path in [workspace.root().join(".layout-version.tmp-1-0"), daq.path().join(".specification.json.tmp-1-0")] {
        write_new(&path, b"").unwrap();
    }
    assert_eq!(workspace.remove_temporaries().unwrap(), 2);
    assert!(daq.specification().is_file());
}
