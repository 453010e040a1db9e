//! The decision on other hosts, from their recorded texts.

use std::collections::HashMap;

use super::*;

/// A host as a table: what can be written, what the files hold, what is marked and listening.
#[derive(Default)]
struct Fake {
    euid: u32,
    writable: Vec<&'static str>,
    read_only: bool,
    files: HashMap<&'static str, &'static str>,
    delegated: Vec<&'static str>,
    bus: bool,
}

impl Look for Fake {
    fn writable(&self, directory: &Path) -> std::result::Result<(), Errno> {
        match self.writable.iter().any(|one| Path::new(one) == directory) {
            _ if self.read_only => Err(Errno::ROFS),
            true => Ok(()),
            false => Err(Errno::ACCESS),
        }
    }

    fn read(&self, directory: &Path, name: &str) -> Option<String> {
        self.files
            .iter()
            .find(|(path, _)| Path::new(path) == directory.join(name))
            .map(|(_, text)| (*text).to_owned())
    }

    fn delegated(&self, directory: &Path) -> bool {
        self.delegated.iter().any(|one| Path::new(one) == directory)
    }

    fn is_socket(&self, path: &Path) -> bool {
        self.bus && path == Path::new("/run/user/1000/bus")
    }
}

const SELF: &str = "4242\n";

impl Fake {
    fn survey(&self, cgroup: &str, mountinfo: &str) -> CgroupSurvey {
        let runtime_dir = PathBuf::from(format!("/run/user/{}", self.euid));
        let caller = Caller {
            euid: self.euid,
            pid: 4242,
            runtime_dir,
        };
        CgroupSurvey::from_texts(cgroup, mountinfo, &caller, self)
    }
}

fn base(survey: &CgroupSurvey) -> (&Path, &str) {
    match &survey.way {
        Way::V2(Entry::Ready(seat) | Entry::StepAside(seat)) => (&seat.base, &seat.base_cgroup),
        other => panic!("no base: {other:?}"),
    }
}

#[track_caller]
fn refused(survey: &CgroupSurvey, why: &str, fix: &str) {
    assert_eq!((&survey.way, survey.kind()), (&Way::None, None));
    for fact in [survey.memory(), survey.pids(), survey.cpu()] {
        let Fact::No {
            why: told,
            fix: remedy,
        } = fact
        else {
            panic!("promised: {survey:?}")
        };
        assert!(told.contains(why), "{told}");
        assert!(remedy.clone().unwrap_or_default().contains(fix), "{remedy:?}");
    }
}

/// A systemd host's mounts, in part (Debian 12; Ubuntu 22.04 has the same cgroup line).
const SYSTEMD_MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw
30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:5 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
31 23 0:27 / /sys/fs/pstore rw,nosuid,nodev,noexec,relatime shared:6 - pstore pstore rw
";
/// A terminal in an Ubuntu 22.04 desktop session.
const TERMINAL: &str = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-6f1e0e8c-8b53-4b87-b3b9-7c6f7d0a6b7e.scope\n";
/// A login over ssh.
const SSH: &str = "0::/user.slice/user-1000.slice/session-3.scope\n";
const MANAGER: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers";

#[test]
fn a_user_of_a_systemd_host_gets_a_scope() {
    for cgroup in [TERMINAL, SSH] {
        let user = Fake {
            euid: 1000,
            bus: true,
            files: [(MANAGER, "cpu memory pids\n")].into(),
            ..Fake::default()
        };
        let survey = user.survey(cgroup, SYSTEMD_MOUNTS);
        assert!(survey.memory().holds() && survey.pids().holds() && survey.cpu().holds());
        let Way::V2(Entry::Scope {
            bus,
            mount,
            controllers,
        }) = &survey.way
        else {
            panic!("{survey:?}")
        };
        assert_eq!(
            (bus.as_path(), mount.as_path()),
            (Path::new("/run/user/1000/bus"), Path::new("/sys/fs/cgroup"))
        );
        assert_eq!((controllers.len(), survey.kind()), (3, Some(Kind::V2)));
    }
}

#[test]
fn a_controller_that_systemd_keeps_from_users_is_named_with_the_remedy() {
    // Ubuntu 22.04 (systemd 249) delegates these two only.
    let user = Fake {
        euid: 1000,
        bus: true,
        files: [(MANAGER, "memory pids\n")].into(),
        ..Fake::default()
    };
    let survey = user.survey(TERMINAL, SYSTEMD_MOUNTS);
    assert!(survey.memory().holds() && survey.pids().holds());
    let Fact::No { why, fix } = survey.cpu() else {
        panic!("cpu was promised")
    };
    assert!(why.contains("does not delegate cpu"), "{why}");
    assert!(
        fix.unwrap()
            .contains("/etc/systemd/system/user@.service.d/delegate.conf")
    );
    let limits = GroupLimits {
        memory_bytes: Some(1 << 20),
        ..GroupLimits::default()
    };
    assert!(survey.must_hold(&limits, &Budget::default()).is_ok());
    let cpu = Some(stockade_domain::units::CpuLimit {
        quota_millis: None,
        weight: 100,
    });
    let refused = survey.must_hold(&GroupLimits { cpu, ..limits }, &Budget::default());
    assert!(matches!(
        refused,
        Err(Error::Unusable {
            controller: Controller::Cpu,
            ..
        })
    ));
}

#[test]
fn a_user_without_a_bus_is_told_how_to_get_one() {
    let user = Fake {
        euid: 1000,
        files: [(MANAGER, "cpu memory pids\n")].into(),
        ..Fake::default()
    };
    refused(
        &user.survey(SSH, SYSTEMD_MOUNTS),
        "no user bus",
        "loginctl enable-linger",
    );
}

#[test]
fn a_writable_group_of_a_user_is_not_taken_for_a_delegated_one() {
    // Below user@1000.service everything belongs to the user, but systemd is its only writer.
    let own = TERMINAL.trim_end().trim_start_matches("0::");
    let directory: &'static str = Box::leak(format!("/sys/fs/cgroup{own}").into_boxed_str());
    let procs: &'static str = Box::leak(format!("{directory}/cgroup.procs").into_boxed_str());
    let user = Fake {
        euid: 1000,
        writable: vec![directory],
        files: [(procs, SELF)].into(),
        ..Fake::default()
    };
    refused(
        &user.survey(TERMINAL, SYSTEMD_MOUNTS),
        "no control group is delegated",
        "enable-linger",
    );
}

const DELEGATED: &str = "/sys/fs/cgroup/system.slice/ci.service";

fn delegated(procs: &'static str) -> Fake {
    let files = [
        ("/sys/fs/cgroup/system.slice/ci.service/cgroup.procs", procs),
        ("/sys/fs/cgroup/system.slice/ci.service/cgroup.type", "domain\n"),
        (
            "/sys/fs/cgroup/system.slice/ci.service/cgroup.controllers",
            "cpu memory pids\n",
        ),
        (
            "/sys/fs/cgroup/system.slice/ci.service/cgroup.subtree_control",
            "",
        ),
    ];
    Fake {
        euid: 1000,
        writable: vec![DELEGATED],
        delegated: vec![DELEGATED],
        files: files.into(),
        ..Fake::default()
    }
}

#[test]
fn the_only_process_of_a_delegated_service_uses_it() {
    let survey = delegated(SELF).survey("0::/system.slice/ci.service\n", SYSTEMD_MOUNTS);
    assert!(matches!(survey.way, Way::V2(Entry::StepAside(_))), "{survey:?}");
    assert_eq!(base(&survey), (Path::new(DELEGATED), "/system.slice/ci.service"));
}

#[test]
fn other_processes_in_a_delegated_group_are_never_moved() {
    let survey = delegated("4242\n4300\n").survey("0::/system.slice/ci.service\n", SYSTEMD_MOUNTS);
    refused(&survey, "no control group is delegated", "enable-linger");
}

#[test]
fn who_stepped_aside_finds_the_base_again() {
    let files = [(
        "/sys/fs/cgroup/system.slice/ci.service/cgroup.subtree_control",
        "cpu memory pids\n",
    )];
    let user = Fake {
        euid: 1000,
        writable: vec![DELEGATED],
        files: files.into(),
        ..Fake::default()
    };
    let survey = user.survey(
        "0::/system.slice/ci.service/stockade-supervisor\n",
        SYSTEMD_MOUNTS,
    );
    assert!(matches!(survey.way, Way::V2(Entry::Ready(_))), "{survey:?}");
    assert_eq!(base(&survey), (Path::new(DELEGATED), "/system.slice/ci.service"));
}

const ROOT_SESSION: &str = "0::/user.slice/user-0.slice/session-1.scope\n";
const TOP: &str = "/sys/fs/cgroup";

#[test]
fn root_uses_the_top_where_it_hands_on_controllers() {
    let files = [(
        "/sys/fs/cgroup/cgroup.subtree_control",
        "cpuset cpu io memory hugetlb pids rdma misc\n",
    )];
    let root = Fake {
        writable: vec![TOP],
        files: files.into(),
        ..Fake::default()
    };
    let survey = root.survey(ROOT_SESSION, SYSTEMD_MOUNTS);
    assert_eq!(base(&survey), (Path::new(TOP), "/"));
    assert!(survey.memory().holds() && survey.pids().holds() && survey.cpu().holds());
}

#[test]
fn root_does_not_switch_on_controllers_for_the_whole_host() {
    let with = |list| {
        let files = [("/sys/fs/cgroup/cgroup.subtree_control", list)];
        Fake {
            writable: vec![TOP],
            files: files.into(),
            ..Fake::default()
        }
        .survey(ROOT_SESSION, SYSTEMD_MOUNTS)
    };
    refused(
        &with("\n"),
        "hands no controllers on",
        "echo '+memory +pids +cpu' > /sys/fs/cgroup/cgroup.subtree_control",
    );
    let some = with("memory pids\n");
    assert!(some.memory().holds());
    assert_eq!(
        some.cpu(),
        Fact::no(
            "/sys/fs/cgroup does not hand cpu on to the groups below it",
            "as root: echo +cpu > /sys/fs/cgroup/cgroup.subtree_control"
        )
    );
}

/// A Docker container on v2, with its own cgroup namespace: the tree is there, read-only.
const DOCKER_MOUNTS: &str = "\
1140 1139 0:62 / / rw,relatime master:412 - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
1144 1143 0:29 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot
";
/// The same, privileged.
const PRIVILEGED_MOUNTS: &str = "1144 1143 0:29 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot\n";

#[test]
fn a_container_with_a_read_only_tree_is_told_so() {
    for euid in [0, 1000] {
        let root = Fake {
            euid,
            read_only: true,
            ..Fake::default()
        };
        refused(
            &root.survey("0::/\n", DOCKER_MOUNTS),
            "mounted read-only",
            "outside of the container",
        );
    }
}

fn privileged(procs: &'static str, subtree: &'static str) -> Fake {
    let files = [
        ("/sys/fs/cgroup/cgroup.type", "domain\n"),
        ("/sys/fs/cgroup/cgroup.procs", procs),
        ("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"),
        ("/sys/fs/cgroup/cgroup.subtree_control", subtree),
    ];
    Fake {
        writable: vec![TOP],
        files: files.into(),
        ..Fake::default()
    }
}

#[test]
fn a_privileged_container_works_when_its_group_can_be_divided() {
    let alone = privileged(SELF, "").survey("0::/\n", PRIVILEGED_MOUNTS);
    assert!(matches!(alone.way, Way::V2(Entry::StepAside(_))), "{alone:?}");
    let shared = privileged("1\n4242\n", "").survey("0::/\n", PRIVILEGED_MOUNTS);
    refused(&shared, "has other processes in it", "/sys/fs/cgroup/init");
    let divided = privileged("", "cpu memory pids\n").survey("0::/init\n", PRIVILEGED_MOUNTS);
    assert!(matches!(divided.way, Way::V2(Entry::Ready(_))), "{divided:?}");
}

/// A host with the controllers on v1, one hierarchy each, and an empty v2 mount; the process is
/// in a group in one controller and at the top in the others.
const HYBRID: &str = "\
9:name=systemd:/
8:pids:/
6:freezer:/
4:memory:/process_api/24893e968a1d299a
2:cpuacct:/
1:cpu:/
0::/
";
const HYBRID_MOUNTS: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

fn seats(survey: &CgroupSurvey) -> Vec<(&Path, usize)> {
    match &survey.way {
        Way::V1(seats) => seats
            .iter()
            .map(|seat| (seat.base.as_path(), seat.controllers.len()))
            .collect(),
        other => panic!("not v1: {other:?}"),
    }
}

#[test]
fn on_v1_each_controller_has_its_own_place() {
    let memory = "/sys/fs/cgroup/memory/process_api/24893e968a1d299a";
    let (pids, cpuacct, cpu) = (
        "/sys/fs/cgroup/pids",
        "/sys/fs/cgroup/cpuacct",
        "/sys/fs/cgroup/cpu",
    );
    let root = Fake {
        writable: vec![memory, pids, cpuacct, cpu],
        ..Fake::default()
    };
    let survey = root.survey(HYBRID, HYBRID_MOUNTS);
    assert!(survey.memory().holds() && survey.pids().holds() && survey.cpu().holds());
    let expected: Vec<_> = [pids, memory, cpuacct, cpu]
        .map(|path| (Path::new(path), 1))
        .to_vec();
    assert_eq!(seats(&survey), expected);
    assert_eq!(survey.kind(), Some(Kind::V1));

    let part = Fake {
        writable: vec![memory],
        ..Fake::default()
    }
    .survey(HYBRID, HYBRID_MOUNTS);
    assert!(part.memory().holds());
    assert!(
        matches!(part.pids(), Fact::No { why, .. } if why == "/sys/fs/cgroup/pids belongs to another user")
    );
}

/// Ubuntu 18.04: cpu and cpuacct share a hierarchy, whose directory has both names.
const COMOUNTED: &str = "\
10:pids:/user.slice/user-0.slice/session-2.scope
9:memory:/user.slice
4:cpu,cpuacct:/user.slice
1:name=systemd:/user.slice/user-0.slice/session-2.scope
0::/user.slice/user-0.slice/session-2.scope
";
const COMOUNTED_MOUNTS: &str = "\
26 25 0:23 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup rw
31 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,cpu,cpuacct
35 25 0:32 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:20 - cgroup cgroup rw,memory
36 25 0:33 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:21 - cgroup cgroup rw,pids
";

#[test]
fn controllers_that_share_a_hierarchy_share_a_directory() {
    let (cpu, memory) = (
        "/sys/fs/cgroup/cpu,cpuacct/user.slice",
        "/sys/fs/cgroup/memory/user.slice",
    );
    let pids = "/sys/fs/cgroup/pids/user.slice/user-0.slice/session-2.scope";
    let survey = Fake {
        writable: vec![cpu, memory, pids],
        ..Fake::default()
    }
    .survey(COMOUNTED, COMOUNTED_MOUNTS);
    assert!(survey.memory().holds() && survey.pids().holds() && survey.cpu().holds());
    assert_eq!(
        seats(&survey),
        [(Path::new(pids), 1), (Path::new(memory), 1), (Path::new(cpu), 2)]
    );
}

#[test]
fn on_v1_a_container_sees_its_own_part() {
    let cgroup = "8:pids:/docker/abc\n4:memory:/docker/abc\n1:cpu:/docker/abc\n0::/docker/abc\n";
    let mounts = "\
40 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:36 /docker/abc /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
42 31 0:29 /docker/other /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
";
    let root = Fake {
        writable: vec!["/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"],
        ..Fake::default()
    };
    let survey = root.survey(cgroup, mounts);
    assert!(survey.memory().holds() && survey.pids().holds());
    assert!(
        matches!(survey.cpu(), Fact::No { why, .. } if why.contains("of cpu is not mounted where /docker/abc"))
    );
}

#[test]
fn controllers_split_between_both_versions_are_told() {
    let cgroup = "4:memory:/\n0::/\n";
    let mounts = "\
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    let survey = Fake {
        writable: vec!["/sys/fs/cgroup/memory"],
        ..Fake::default()
    }
    .survey(cgroup, mounts);
    assert!(survey.memory().holds());
    assert!(matches!(survey.pids(), Fact::No { why, .. } if why.contains("pids is not")));
}

#[test]
fn a_host_without_control_groups_is_told_so() {
    refused(
        &Fake::default().survey("", ""),
        "no cgroup hierarchy",
        "mount -t cgroup2",
    );
    refused(
        &Fake::default().survey("0::/\n", "27 1 254:0 / / rw - ext4 /dev/vda rw\n"),
        "not mounted",
        "mount -t cgroup2",
    );
}

#[test]
fn texts_that_are_not_understood_promise_nothing() {
    refused(
        &Fake::default().survey("nonsense\n", ""),
        "not understood",
        "report this",
    );
    refused(
        &Fake::default().survey("0::/\n", "1 2 - cgroup2\n"),
        "not understood",
        "report this",
    );
}

#[test]
fn the_topmost_of_two_mounts_of_one_view_is_taken() {
    let mounts = format!("{HYBRID_MOUNTS}50 31 0:32 / /mnt/memory rw,relatime - cgroup cgroup rw,memory\n");
    let below = "/mnt/memory/process_api/24893e968a1d299a";
    let survey = Fake {
        writable: vec![below],
        ..Fake::default()
    }
    .survey(HYBRID, &mounts);
    assert_eq!(seats(&survey), [(Path::new(below), 1)]);
}
