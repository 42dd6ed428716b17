//! The same without root.

use nix::unistd::geteuid;

use crate::proc;
use crate::stage::{NOBODY, Setting, login, use_session};

#[test]
fn an_ordinary_user_has_master_and_worker_too() {
    let stage = Setting::new("", "").start_as_nobody();
    let (master, worker) = (stage.master(), stage.worker());
    if geteuid().is_root() {
        let nobody = format!("{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}");
        assert_eq!([master, worker].map(|pid| proc::status(pid, "Uid")), [nobody.clone(), nobody]);
    }
    assert_eq!(proc::status(worker, "NoNewPrivs"), "1");
    let mut session = login(stage.pop3, "joe");
    stage.reload();
    use_session(&mut login(stage.pop3, "joe"));
    use_session(&mut session);
    assert!(stage.process().stop().success());
}
