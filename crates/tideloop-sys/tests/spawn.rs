//! The contract of `spawn`, on real programs.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use tideloop_sys::pipe::{duplicate, duplicate_above_standard};
use tideloop_sys::spawn::{Child, Command, SignalMask, Stage, end, spawn};

fn strings(list: &[&str]) -> Vec<CString> {
    list.iter().map(|text| CString::new(*text).unwrap()).collect()
}

fn shell(script: &str) -> Command {
    Command {
        programs: strings(&["/bin/sh"]),
        arguments: strings(&["sh", "-c", script]),
        environment: strings(&["PATH=/usr/bin:/bin", "GREETING=hello"]),
        standard: [None, None, None],
        keep: Vec::new(),
        close_others: true,
        directory: None,
        change_directory: None,
        umask: None,
        restore_signals: true,
        new_session: false,
        process_group: None,
        signal_mask: SignalMask::of_this_thread().unwrap(),
        lists_descriptors: false,
    }
}

fn status_of(child: &Child) -> i32 {
    let mut status = 0;
    // SAFETY: a place for one status.
    assert_eq!(unsafe { libc::waitpid(child.pid, &raw mut status, 0) }, child.pid);
    status
}

/// What the command writes to its standard output, and its status as `waitpid` has it.
fn output(mut command: Command) -> (String, i32) {
    let (mut reader, writer) = io::pipe().unwrap();
    command.standard[1] = Some(duplicate_above_standard(writer.as_raw_fd()).unwrap());
    let child = spawn(&command).unwrap();
    drop((command, writer));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (text, status_of(&child))
}

#[test]
fn output_status_environment_and_directory_are_the_child_s() {
    let mut command = shell("echo $GREETING; pwd; umask; exit 3");
    command.change_directory = Some(c"/".to_owned());
    command.umask = Some(0o27);
    assert_eq!(output(command), ("hello\n/\n0027\n".to_owned(), 3 << 8));
}

#[test]
fn a_relative_directory_starts_from_the_one_that_was_open() {
    let mut command = shell("pwd");
    command.directory = Some(OwnedFd::from(File::open("/usr").unwrap()));
    command.change_directory = Some(c"bin/..".to_owned());
    assert_eq!(output(command).0, "/usr\n");
}

#[test]
fn a_descriptor_tells_of_the_end() {
    let child = spawn(&shell("exit 0")).unwrap();
    let pidfd = child.pidfd.as_ref().unwrap();
    let mut polled = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut polled, None).unwrap(), 1);
    assert_eq!(status_of(&child), 0);
}

#[test]
fn each_failure_says_how_far_the_child_got_and_leaves_none() {
    let mut missing = shell("");
    missing.programs = strings(&["/tideloop-nowhere/a", "/tideloop-nowhere/b"]);
    let mut forbidden = shell("");
    forbidden.programs = strings(&["/etc/passwd", "/tideloop-nowhere"]);
    let mut homeless = shell("");
    homeless.change_directory = Some(c"/tideloop-nowhere".to_owned());
    let mut grouped = shell("");
    grouped.process_group = Some(1);
    for (command, stage, errno) in [
        (missing, Stage::Program, libc::ENOENT),
        (forbidden, Stage::Program, libc::EACCES),
        (homeless, Stage::Directory, libc::ENOENT),
        (grouped, Stage::Prepare, libc::EPERM),
    ] {
        let failure = spawn(&command).unwrap_err();
        assert_eq!((failure.stage, failure.error.raw_os_error()), (stage, Some(errno)));
    }
}

#[test]
fn only_what_is_kept_is_open_in_the_child() {
    for lists_descriptors in [false, true] {
        let kept = File::open("/etc/hostname").or_else(|_| File::open("/etc/passwd")).unwrap();
        let number = kept.as_raw_fd();
        let open: Vec<OwnedFd> = (0..100).map(|_| duplicate(number).unwrap()).collect();
        for fd in &open {
            // SAFETY: a plain number.
            unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
        }
        let mut command = shell("for fd in /proc/$$/fd/*; do test -e $fd && echo ${fd##*/}; done");
        command.keep = vec![(duplicate_above_standard(number).unwrap(), number)];
        command.lists_descriptors = lists_descriptors;
        let text = output(command).0;
        let mut seen: Vec<RawFd> = text.lines().map(|line| line.parse().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, number], "{lists_descriptors}");
        drop(kept);
    }
}

#[test]
fn without_closing_others_those_that_outlive_exec_are_there() {
    let file = duplicate(0).unwrap();
    // SAFETY: a plain number.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) };
    let mut command = shell(&format!("test -e /proc/$$/fd/{} && echo there", file.as_raw_fd()));
    command.close_others = false;
    assert_eq!(output(command).0, "there\n");
}

#[test]
fn sessions_groups_and_signals() {
    // SAFETY: ignoring a signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let mut command = shell("cut -d' ' -f5,6 /proc/$$/stat; grep -e SigBlk -e SigIgn /proc/$$/status | tr -d '\\t\\n'");
    command.new_session = true;
    let (reader, writer) = io::pipe().unwrap();
    command.standard[1] = Some(duplicate_above_standard(writer.as_raw_fd()).unwrap());
    let child = spawn(&command).unwrap();
    drop((command, writer));
    let text = io::read_to_string(reader).unwrap();
    assert_eq!(status_of(&child), 0);
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), format!("{0} {0}", child.pid));
    let ignored = u64::from_str_radix(lines.next().unwrap().rsplit(':').next().unwrap(), 16).unwrap();
    assert_eq!(ignored & (1 << (libc::SIGPIPE - 1)), 0);
}

#[test]
fn a_child_that_nobody_wants_is_ended_and_waited_for() {
    let child = spawn(&shell("exec sleep 1000")).unwrap();
    end(child.pid);
    // SAFETY: without a place for the status nothing is written.
    assert_eq!(unsafe { libc::waitpid(child.pid, std::ptr::null_mut(), 0) }, -1);
}

#[test]
fn many_threads_spawn_at_once() {
    let threads: Vec<_> = (0..4)
        .map(|number| {
            std::thread::spawn(move || {
                for round in 0..50 {
                    let expected = format!("{number} {round}\n");
                    assert_eq!(output(shell(&format!("echo {number} {round}"))), (expected, 0));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
