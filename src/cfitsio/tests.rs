//! Workers that do not do what they should.

use std::process::Command;
use std::time::Duration;

use crate::cfitsio::{CfitsioVerdict, attend};

fn verdict_on(script: &str, limit: Duration) -> CfitsioVerdict {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script);
    attend(command, limit, "4.0".to_owned()).unwrap()
}

#[test]
fn whatever_becomes_of_a_worker_is_a_verdict() {
    let long = Duration::from_secs(60);
    let check = |script: &str, limit, fault: &str| {
        let verdict = verdict_on(script, limit);
        assert!(!verdict.good && verdict.faults == [fault], "{script}: {verdict:?}");
    };
    check("kill -SEGV $$", long, "CFITSIO died of signal 11");
    check("exit 3", long, "the worker for CFITSIO ended with code 3");
    check("echo garbage", long, "the worker for CFITSIO ended without a report");
    check("exec sleep 60", Duration::from_millis(50), "CFITSIO did not end within 0 s");
    check(r#"echo '{"hdus":2,"faults":["HDU 1: bad"]}'"#, long, "HDU 1: bad");
    let good = verdict_on(r#"echo '{"hdus":2,"faults":[]}'"#, long);
    assert!(good.good && good.hdus == 2 && good.faults.is_empty());
}

#[test]
fn a_worker_gets_no_environment_and_no_input() {
    let script = r#"[ -z "$HOME" ] && ! read line && echo '{"hdus":1,"faults":[]}'"#;
    assert!(verdict_on(script, Duration::from_secs(60)).good);
}
