//! A daemon of a test: started, asked, killed, and ended with the test whatever happens.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::common::process::{is_stopped, signal, workers_of};
use crate::common::rpc::Rpc;
use crate::common::{Run, Scene, until};

/// A running daemon.
pub(crate) struct Daemon<'a> {
    scene: &'a Scene,
    workspace: PathBuf,
    child: Child,
}

impl<'a> Daemon<'a> {
    /// Starts a daemon on the workspace `ws` of the scene and waits until it answers.
    #[track_caller]
    pub(crate) fn start(scene: &'a Scene) -> Daemon<'a> {
        Daemon::start_with(scene, &[])
    }

    /// Starts a daemon with settings from the environment.
    #[track_caller]
    pub(crate) fn start_with(scene: &'a Scene, environment: &[(&str, &str)]) -> Daemon<'a> {
        let mut daemon = Daemon::launch(scene, environment);
        let socket = daemon.socket();
        until("the daemon answers", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", daemon.log());
            }
            Rpc::connect(&socket).ok().map(|mut rpc| rpc.call("GetServerStatus", Value::Null).unwrap())
        });
        daemon
    }

    /// Starts a daemon and waits for nothing.
    pub(crate) fn launch(scene: &'a Scene, environment: &[(&str, &str)]) -> Daemon<'a> {
        let workspace = scene.path("ws");
        let log = File::options().create(true).append(true).open(scene.path("daemon.log")).unwrap();
        let mut command = scene.command(["serve", "--workspace"]);
        command.arg(&workspace).envs(environment.iter().copied()).stdout(Stdio::null()).stderr(log);
        Daemon { scene, workspace, child: command.spawn().unwrap() }
    }

    pub(crate) fn workspace(&self) -> &Path {
        &self.workspace
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.workspace.join("dpm.sock")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.scene.path("daemon.log")).unwrap_or_default()
    }

    /// Folder of a DAQ in the workspace.
    pub(crate) fn daq_folder(&self, id: &str) -> PathBuf {
        self.workspace.join("daq").join(id)
    }

    /// A product in the workspace.
    pub(crate) fn product(&self, file_id: &str) -> PathBuf {
        self.workspace.join("products").join(format!("{file_id}.fits"))
    }

    #[track_caller]
    pub(crate) fn rpc(&self) -> Rpc {
        Rpc::connect(&self.socket()).unwrap()
    }

    /// Runs a client subcommand.
    #[track_caller]
    pub(crate) fn dpm(&self, arguments: &[&str]) -> Run {
        let mut command = self.scene.command(arguments);
        command.env("DPM_SOCKET", self.socket());
        crate::common::finish(command, b"")
    }

    /// Queues a specification; it must be accepted.
    #[track_caller]
    pub(crate) fn queue(&self, specification: &Value) -> String {
        let reply = self.rpc().call("QueueDaq", json!({"specification": specification.to_string()})).unwrap();
        assert_eq!(reply, json!({"id": specification["id"], "error": false}));
        specification["id"].as_str().unwrap().to_owned()
    }

    /// Status of a DAQ, also of one that has ended.
    #[track_caller]
    pub(crate) fn status(&self, id: &str) -> Value {
        let parameters = json!({"id": id, "timeoutSeconds": 0});
        self.rpc().call("AwaitDaqState", parameters).unwrap()["status"].clone()
    }

    /// Waits until a DAQ is in `sub_state`, at work and not parked.
    #[track_caller]
    pub(crate) fn until_in(&self, id: &str, sub_state: &str) {
        until(&format!("{id} is {sub_state}"), || {
            let status = self.status(id);
            let is_there = status["subState"] == sub_state;
            assert!(is_there || status["subState"] != "Completed", "{id} was too fast: {status}");
            assert_eq!(status["error"], false, "{status}");
            is_there.then_some(())
        });
    }

    /// Waits until a DAQ is completed.
    #[track_caller]
    pub(crate) fn until_completed(&self, id: &str) -> Value {
        until(&format!("{id} is completed"), || {
            let status = self.status(id);
            assert_eq!(status["error"], false, "{status}");
            (status["subState"] == "Completed").then_some(status)
        })
    }

    /// Waits until the folder of a DAQ that has ended is gone: it is removed after the end is told.
    #[track_caller]
    pub(crate) fn until_folder_gone(&self, id: &str) {
        until(&format!("the folder of {id} goes"), || (!self.daq_folder(id).exists()).then_some(()));
    }

    /// Waits until a DAQ is parked and gives its first Error alert.
    #[track_caller]
    pub(crate) fn until_parked(&self, id: &str) -> Value {
        let status = until(&format!("{id} is parked"), || {
            let status = self.status(id);
            assert_ne!(status["state"], "StateCompleted", "{status}");
            (status["error"] == true).then_some(status)
        });
        let alerts = status["alerts"].as_array().unwrap();
        alerts.iter().find(|alert| alert["severity"] == "Error").expect("an Error alert").clone()
    }

    /// Waits for the worker of the only running merge and stops it (SIGSTOP), so that the merge lasts.
    #[track_caller]
    pub(crate) fn stop_worker(&self) -> Pid {
        until("a worker is stopped", || {
            let worker = workers_of(self.id()).into_iter().next()?;
            (signal(worker, Signal::STOP) && is_stopped(worker)).then_some(worker)
        })
    }

    /// Ends the daemon at once, as a power cut would (SIGKILL).
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it was killed while it lived: {status}");
    }

    /// Ends the daemon in order.
    #[track_caller]
    pub(crate) fn exit(mut self) {
        self.rpc().call("Exit", Value::Null).unwrap();
        let status = until("the daemon ends", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", self.log());
        assert!(!self.socket().exists(), "its socket goes with it");
    }

    /// Waits for a daemon that ends by itself.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Option<i32> {
        until("the daemon ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // Its workers die with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
