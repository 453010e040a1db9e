//! What is commonly said of sandboxes, shown true or false on this host, and what Stockade does about it. One row of
//! [`CLAIMS`] is one claim. Every demonstration attacks what it planted itself, in mount namespaces that end with it.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Serialize;
use stockade_probes::finished::{Finished, finish};
use stockade_probes::{Ground, Verdict, broken};

use crate::failure::Failure;
use crate::service::Result;

/// Far longer than any demonstration takes.
const LIMIT: Duration = Duration::from_secs(60);
/// What is planted, as a variable and in files.
const VARIABLE: &str = "STOCKADE_PLANTED";

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Articles that compare ways to sandbox agents.
    Articles,
    /// Reports of incidents and issues of other sandboxes.
    Incidents,
    /// Common belief.
    Belief,
}

/// What was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "shown")]
pub enum Shown {
    /// It is so.
    True {
        /// What was seen.
        seen: String,
    },
    /// It is not.
    False {
        /// What was seen.
        seen: String,
    },
    /// Neither.
    Not {
        /// Why not.
        why: String,
    },
}

/// One claim, with what this host shows of it.
#[derive(Debug, Serialize)]
pub struct Told {
    /// A stable name.
    pub id: &'static str,
    /// What is said.
    pub claim: &'static str,
    /// By whom.
    pub source: Source,
    /// What is so here.
    #[serde(flatten)]
    pub shown: Shown,
    /// What Stockade does about it.
    pub stockade: &'static str,
}

struct Claim {
    id: &'static str,
    claim: &'static str,
    source: Source,
    show: fn(&Stage) -> Verdict<Shown>,
    stockade: &'static str,
}

const CLAIMS: [Claim; 14] = [
    Claim {
        id: "chroot-proc",
        claim: "`ls /proc` in a chroot shows the host's processes, once it is mounted there",
        source: Source::Articles,
        show: chroot_proc,
        stockade: "processes-hidden: native has a PID namespace; chroot and landlock show only the command's own, or say that they do not",
    },
    Claim {
        id: "chroot-escape",
        claim: "root breaks out of a plain chroot",
        source: Source::Articles,
        show: chroot_escape,
        stockade: "nothing inside is root or has CAP_SYS_CHROOT, and the filter refuses chroot (privileges, syscall-filter)",
    },
    Claim {
        id: "chroot-signals",
        claim: "a chroot does not keep its processes from ending those of the host",
        source: Source::Articles,
        show: chroot_signals,
        stockade: "PR03: ids of the sandbox's own, a PID namespace or Landlock's signal scope",
    },
    Claim {
        id: "chroot-network",
        claim: "a chroot has the host's network",
        source: Source::Articles,
        show: chroot_network,
        stockade: "network-none: a network namespace, or no sockets at all",
    },
    Claim {
        id: "unshare-files",
        claim: "namespaces without a root of their own hide no file",
        source: Source::Articles,
        show: unshare_files,
        stockade: "files-unreadable: the root is built from an empty one, and Landlock repeats it",
    },
    Claim {
        id: "unshare-variables",
        claim: "variables of the caller pass into a namespace",
        source: Source::Incidents,
        show: unshare_variables,
        stockade: "clean-environment: only variables that are named pass",
    },
    Claim {
        id: "unshare-descriptors",
        claim: "open files of the caller pass into a namespace",
        source: Source::Incidents,
        show: unshare_descriptors,
        stockade: "descriptors-closed: all are closed before anything is executed, and counted for the receipt",
    },
    Claim {
        id: "bubblewrap-variables",
        claim: "bubblewrap passes the caller's variables on unless it is told not to",
        source: Source::Incidents,
        show: bubblewrap_variables,
        stockade: "clean-environment, without being told",
    },
    Claim {
        id: "unshare-limits",
        claim: "namespaces limit neither memory nor processes",
        source: Source::Articles,
        show: unshare_limits,
        stockade: "memory and pids: a control group of its own, or the run says that it has none",
    },
    Claim {
        id: "container-kernel",
        claim: "a container has a kernel of its own",
        source: Source::Belief,
        show: container_kernel,
        stockade: "says the level of each driver (jail, container: the host's kernel); own-kernel can be required",
    },
    Claim {
        id: "read-only-socket",
        claim: "a directory that is mounted read-only cannot be used to reach the host",
        source: Source::Belief,
        show: read_only_socket,
        stockade: "local-sockets-hidden: directories with sockets are not shown, and connecting is refused",
    },
    Claim {
        id: "nspawn-network",
        claim: "systemd-nspawn has the host's network by default",
        source: Source::Articles,
        show: nspawn_network,
        stockade: "network-none is the default of every driver",
    },
    Claim {
        id: "docker-socket",
        claim: "who can write to docker.sock is root",
        source: Source::Articles,
        show: docker_socket,
        stockade: "local-sockets-hidden; IP04 attacks such sockets",
    },
    Claim {
        id: "setuid",
        claim: "no_new_privs takes the effect from setuid programs",
        source: Source::Articles,
        show: no_new_privs,
        stockade: "privileges: set before anything of the sandbox runs, checked for every thread; PV05 and PV06 try it",
    },
];

/// Shows all, one after the other.
///
/// # Errors
/// Nothing can be planted here.
pub fn claims(told: &dyn Fn(&str)) -> Result<Vec<Told>> {
    let failed = |stop: stockade_probes::Stop| Failure::Battery(stop.why());
    let all = CLAIMS.iter().map(|claim| {
        told(claim.claim);
        let stage = Stage::new().map_err(failed)?;
        let shown = (claim.show)(&stage).unwrap_or_else(|stop| Shown::Not { why: stop.why() });
        Ok(Told {
            id: claim.id,
            claim: claim.claim,
            source: claim.source,
            shown,
            stockade: claim.stockade,
        })
    });
    all.collect()
}

/// What was planted for one demonstration.
struct Stage {
    ground: Ground,
    /// The value of the variable and of the file.
    value: String,
}

/// A process of the host to see and to signal.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    fn new() -> Verdict<Self> {
        let ground = Ground::new(Path::new("/nonexistent"))?;
        let value = format!("planted-{}", ground.path("").display());
        ground.file("outside/planted", &value)?;
        std::fs::create_dir(ground.path("work/root"))?;
        Ok(Self { ground, value })
    }

    fn planted(&self) -> String {
        self.ground.path("outside/planted").display().to_string()
    }

    /// A shell as root of a mount namespace of its own, which for an ordinary user is in a user namespace.
    fn shell(&self, script: &str, arguments: &[&str]) -> Verdict<Finished> {
        self.unshare(&["--mount", "--fork"], script, arguments)
    }

    fn unshare(&self, flags: &[&str], script: &str, arguments: &[&str]) -> Verdict<Finished> {
        let is_root = rustix::process::geteuid().is_root();
        let mapped: &[&str] = if is_root { &[] } else { &["--map-root-user"] };
        let mut command = self.ground.command(Path::new("/bin/sh"));
        let words = "exec 9<\"$0\"; exec unshare \"$@\"";
        command
            .args(["-c", words, &self.planted()])
            .args(mapped)
            .args(flags);
        command.args(["sh", "-c", script, "sh"]).args(arguments);
        command.env(VARIABLE, &self.value);
        finish(command, Vec::new(), Some(LIMIT))
    }

    fn victim(&self) -> Verdict<Victim> {
        let mut command = self.ground.command(Path::new("sleep"));
        Ok(Victim(
            command
                .arg("600")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()?,
        ))
    }
}

/// What a demonstration that ran says; one that did not run says nothing.
fn judged(ran: &Finished, is_so: bool, seen: &str) -> Verdict<Shown> {
    if ran.code != 0 {
        let said: String = ran.all().trim().chars().take(200).collect();
        return broken(format!("it could not be tried (exit {}): {said}", ran.code));
    }
    let seen = seen.to_owned();
    Ok(if is_so {
        Shown::True { seen }
    } else {
        Shown::False { seen }
    })
}

const BIND: &str = "mount --rbind / root && exec chroot root ";

fn chroot_proc(stage: &Stage) -> Verdict<Shown> {
    let victim = stage.victim()?;
    let pid = victim.0.id().to_string();
    let ran = stage.shell(&format!("{BIND} cat /proc/\"$1\"/comm"), &[&pid])?;
    judged(
        &ran,
        ran.text().trim() == "sleep",
        "a process of the host was seen by its number and name",
    )
}

/// By the way that the articles show, with perl, which every Debian has; the control is that it was confined.
fn chroot_escape(stage: &Stage) -> Verdict<Shown> {
    const ESCAPE: &str = r#"exec perl -e '
        chroot "root" or die "chroot: $!"; chdir "/" or die $!;
        die "it was not confined" if -e $ARGV[0];
        mkdir "below"; chroot "below" or die "chroot: $!";
        chdir ".." for 1..64; chroot "." or die "chroot: $!";
        open my $file, "<", $ARGV[0] or exit 0; print <$file>' "$1""#;
    let ran = stage.shell(ESCAPE, &[&stage.planted()])?;
    judged(
        &ran,
        ran.text() == stage.value,
        "confined first, then a file outside was read, by a second chroot and `..`",
    )
}

fn chroot_signals(stage: &Stage) -> Verdict<Shown> {
    let mut victim = stage.victim()?;
    let ran = stage.shell(
        &format!("{BIND} sh -c 'kill -KILL \"$1\"' sh \"$1\""),
        &[&victim.0.id().to_string()],
    )?;
    if ran.code == 0 {
        // It was killed, or it is now.
        let ended = stockade_probes::finished::wait(&mut victim.0, std::time::Instant::now() + LIMIT).is_ok();
        return judged(&ran, ended, "a process of the host was ended");
    }
    judged(&ran, false, "")
}

fn same_namespace(stage: &Stage, kind: &str, script: &str) -> Verdict<(Finished, bool)> {
    let own = std::fs::read_link(format!("/proc/self/ns/{kind}"))?;
    let ran = stage.shell(script, &[])?;
    let is_same = Path::new(ran.text().trim()) == own;
    Ok((ran, is_same))
}

fn chroot_network(stage: &Stage) -> Verdict<Shown> {
    let (ran, is_same) = same_namespace(stage, "net", &format!("{BIND} readlink /proc/self/ns/net"))?;
    judged(
        &ran,
        is_same,
        &format!("its network namespace is {}", ran.text().trim()),
    )
}

fn unshare_files(stage: &Stage) -> Verdict<Shown> {
    let flags = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork"];
    let ran = stage.unshare(&flags, "cat \"$1\"", &[&stage.planted()])?;
    judged(
        &ran,
        ran.text() == stage.value,
        "a file of the host was read in five namespaces of its own",
    )
}

fn unshare_variables(stage: &Stage) -> Verdict<Shown> {
    let ran = stage.shell("echo \"$STOCKADE_PLANTED\"", &[])?;
    judged(
        &ran,
        ran.text().trim() == stage.value,
        "the planted variable was there",
    )
}

fn unshare_descriptors(stage: &Stage) -> Verdict<Shown> {
    let ran = stage.shell("cat <&9 || true", &[])?;
    judged(
        &ran,
        ran.text() == stage.value,
        "a file that the caller had open was read through descriptor 9",
    )
}

fn bubblewrap_variables(stage: &Stage) -> Verdict<Shown> {
    let mut command = stage.ground.command(Path::new("bwrap"));
    command.args(["--ro-bind", "/", "/", "--unshare-all", "--die-with-parent"]);
    command
        .args(["sh", "-c", "echo \"$STOCKADE_PLANTED\""])
        .env(VARIABLE, &stage.value);
    let ran = finish_installed(command, "bwrap")?;
    judged(
        &ran,
        ran.text().trim() == stage.value,
        "the planted variable was there",
    )
}

fn finish_installed(command: Command, name: &str) -> Verdict<Finished> {
    finish(command, Vec::new(), Some(LIMIT)).or_else(|stop| {
        let why = stop.why();
        broken(format!("{name} cannot be started here: {why}"))
    })
}

fn unshare_limits(stage: &Stage) -> Verdict<Shown> {
    let own = std::fs::read_to_string("/proc/self/cgroup")?;
    let ran = stage.shell("cat /proc/self/cgroup", &[])?;
    judged(
        &ran,
        ran.text() == own,
        "it stays in the control groups of its caller",
    )
}

fn container_kernel(stage: &Stage) -> Verdict<Shown> {
    let own = rustix::system::uname();
    let flags = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork"];
    let ran = stage.unshare(&flags, "uname -rv", &[])?;
    let same = format!(
        "{} {}",
        own.release().to_string_lossy(),
        own.version().to_string_lossy()
    );
    judged(
        &ran,
        ran.text().trim() != same,
        &format!(
            "in all namespaces that a container has, the kernel is {}",
            ran.text().trim()
        ),
    )
}

fn read_only_socket(stage: &Stage) -> Verdict<Shown> {
    const CONNECT: &str = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 1
        if touch "$1/new" 2>/dev/null; then echo "it can be written" >&2; exit 1; fi
        exec perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die $!;
        print connect($s, sockaddr_un($ARGV[0])) ? "connected" : "refused"' "$1/socket""#;
    let place = stage.ground.path("outside");
    let _listener = UnixListener::bind(place.join("socket"))?;
    let ran = stage.shell(CONNECT, &[&place.display().to_string()])?;
    judged(
        &ran,
        ran.text() != "connected",
        "nothing could be written there, and a server of the host was connected to by its socket",
    )
}

fn nspawn_network(stage: &Stage) -> Verdict<Shown> {
    let own = std::fs::read_link("/proc/self/ns/net")?;
    let mut command = stage.ground.command(Path::new("systemd-nspawn"));
    command.args(["--quiet", "--register=no", "--volatile=yes", "--directory=/"]);
    command.args(["readlink", "/proc/self/ns/net"]);
    let ran = finish_installed(command, "systemd-nspawn")?;
    judged(
        &ran,
        Path::new(ran.text().trim()) == own,
        &format!("its network namespace is {}", ran.text().trim()),
    )
}

/// It is never tried: the demonstration would be a container with the host's root directory.
fn docker_socket(_: &Stage) -> Verdict<Shown> {
    let path = Path::new("/var/run/docker.sock");
    if !path.exists() {
        return broken("there is no docker.sock here");
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => broken(
            "it answers, and is not tried: that would start a container with the host's root directory",
        ),
        Err(error) => broken(format!("docker.sock cannot be connected to: {error}")),
    }
}

/// The kernel says of each process whether it is set; that it works is shown by PV05 and PV06.
fn no_new_privs(stage: &Stage) -> Verdict<Shown> {
    const SETUID: &str = "cp \"$(command -v id)\" ./id && chown 1:1 ./id && chmod 4755 ./id && \
        a=$(setpriv --reuid=65534 --clear-groups ./id -u) && \
        b=$(setpriv --no-new-privs --reuid=65534 --clear-groups ./id -u) && echo \"$a $b\"";
    if !rustix::process::geteuid().is_root() {
        return broken("it needs root, who can make a program of another user");
    }
    let place = stage.ground.path("work");
    for at in [place.as_path(), stage.ground.path("").as_path()] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o711))?;
    }
    let ran = stage.shell(SETUID, &[])?;
    if ran.code == 0 && ran.text().trim().starts_with("65534 ") {
        return broken("setuid programs have no effect where temporary files lie (nosuid)");
    }
    judged(
        &ran,
        ran.text().trim() == "1 65534",
        &format!("user ids without it and with it: {}", ran.text().trim()),
    )
}
