//! The forms that files have in the wild.

use std::collections::BTreeMap;

use stockade_lint::model::Format;
use stockade_lint::{Beside, LintError};

use crate::world::{INSPECT, broken, checked, document, document_beside, unknown};

/// Rules that a file breaks, which is understood as a whole.
fn all_of(name: &str, text: &str) -> Vec<String> {
    assert_eq!(unknown(name, text), Vec::<String>::new());
    broken(name, text).into_iter().collect()
}

/// Files beside the one that is read.
struct Others(BTreeMap<&'static str, &'static str>);

impl Beside for Others {
    fn read(&self, _: &str, path: &str) -> Result<(String, Vec<u8>), String> {
        let text = self.0.get(path).ok_or("it is not there")?;
        Ok((path.to_owned(), text.as_bytes().to_vec()))
    }
}

#[test]
fn what_is_set_up_well_breaks_no_rule() {
    assert_eq!(
        all_of("c.yml", include_str!("fixtures/good-compose.yml")),
        Vec::<String>::new()
    );
    assert_eq!(
        all_of("p.yml", include_str!("fixtures/good-pod.yml")),
        Vec::<String>::new()
    );
    assert_eq!(all_of("i.json", INSPECT), Vec::<String>::new());
    assert_eq!(all_of("stockade.toml", "version = 1\n"), Vec::<String>::new());
}

#[test]
fn services_of_the_first_version_stand_at_the_top() {
    let found = all_of("c.yml", "web:\n  image: x\n  net: host\ndb:\n  build: .\n");
    assert!(found.contains(&"host-network".to_owned()), "{found:?}");
}

#[test]
fn what_a_service_extends_is_part_of_it() {
    let text = "services:\n  base: {image: x, privileged: true, cap_drop: [ALL]}\n  web: {extends: {service: base}, privileged: false}\n  api: {extends: base}\n";
    let document = document("c.yml", text).unwrap();
    let privileged: Vec<String> = checked(&document)
        .findings
        .into_iter()
        .filter(|one| one.rule == "privileged")
        .map(|one| format!("{} {}", one.workload, one.at))
        .collect();
    assert_eq!(
        privileged,
        ["service api c.yml:2:20", "service base c.yml:2:20"],
        "web takes it back"
    );
    assert!(document.unknown.is_empty(), "{:?}", document.unknown);
}

#[test]
fn other_files_are_read_and_what_is_not_there_is_told() {
    let others = Others(BTreeMap::from([
        ("base.yml", "services: {b: {image: x, pid: host}}"),
        ("more.yml", "services: {m: {image: x, ipc: host}}"),
    ]));
    let text = "include: [more.yml, gone.yml]\nservices:\n  a: {extends: {file: base.yml, service: b}}\n  c: {extends: {file: base.yml, service: nobody}}\n";
    let document = document_beside("c.yml", text, &others).unwrap();
    let found: Vec<String> = checked(&document)
        .findings
        .iter()
        .map(|one| format!("{} {}", one.rule, one.at.file))
        .collect();
    assert!(found.contains(&"host-pid base.yml".to_owned()), "{found:?}");
    assert!(found.contains(&"host-ipc more.yml".to_owned()), "{found:?}");
    let told: Vec<&str> = document.unknown.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(
        told,
        [
            "service c: what it extends was not read: there is no service nobody",
            "the included file was not read: it is not there"
        ]
    );
}

#[test]
fn a_service_that_extends_itself_is_told_once() {
    let told = unknown("c.yml", "services: {a: {extends: b}, b: {extends: a}}");
    assert!(told.iter().all(|one| one.contains("extends itself")), "{told:?}");
    assert!(!told.is_empty());
}

#[test]
fn a_file_that_includes_itself_ends() {
    let others = Others(BTreeMap::from([(
        "c.yml",
        "include: [c.yml]\nservices: {a: {image: x, pid: host}}",
    )]));
    let document = document_beside("c.yml", "include: [c.yml]", &others).unwrap();
    assert!(
        checked(&document)
            .findings
            .iter()
            .any(|one| one.rule == "host-pid")
    );
}

#[test]
fn variables_are_put_in_and_those_without_a_value_told() {
    let text = "services:\n  a:\n    image: x:${KNOWN}\n    privileged: ${P}\n    volumes: ['${D}:/d', '${E:-/etc}:/e']\n    user: ${U-0}\n";
    let told = unknown("c.yml", text);
    assert_eq!(
        told,
        [
            "c.yml:4:5: services.a.privileged is known only when it is started: ${P}",
            "c.yml:5:15: services.a.volumes[0]: what is mounted is known only when it is started: ${D}:/d",
        ]
    );
    let found = broken("c.yml", text);
    assert!(
        found.contains("mount-system-writable") && found.contains("root-user"),
        "{found:?}"
    );
    assert!(!found.contains("image-latest"), "{found:?}");
    let notes = document("c.yml", text).unwrap().notes;
    assert_eq!(
        notes,
        [
            "c.yml: the default that is written there was taken for $E",
            "c.yml: the default that is written there was taken for $U"
        ]
    );
}

#[test]
fn a_limit_that_is_not_known_is_not_lacking() {
    let found = broken(
        "c.yml",
        "services: {a: {image: x, mem_limit: '${M}', user: '${U}'}}",
    );
    assert!(
        !found.contains("no-memory-limit") && !found.contains("user-not-set"),
        "{found:?}"
    );
    assert!(found.contains("no-pids-limit"), "the control");
}

#[test]
fn a_volume_can_be_a_path_of_the_host_in_disguise() {
    let text = "services: {a: {image: x, volumes: ['etc:/e']}}\nvolumes: {etc: {driver_opts: {type: none, o: bind, device: /etc}}}";
    assert!(broken("c.yml", text).contains("mount-system-writable"));
    let other = text.replace("o: bind", "o: addr=nas");
    assert!(!broken("c.yml", &other).contains("mount-system-writable"));
}

#[test]
fn files_that_are_handed_in_as_secrets_are_the_hosts() {
    let text = "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {file: ~/.ssh/id_ed25519}}";
    assert!(broken("c.yml", text).contains("mount-credentials"));
    let other = text.replace("~/.ssh/id_ed25519", "./token");
    assert!(!broken("c.yml", &other).contains("mount-credentials"));
}

#[test]
fn a_kind_of_another_group_is_not_taken_for_one_that_makes_no_pods() {
    let text =
        "kind: Service\napiVersion: serving.knative.dev/v1\nmetadata: {name: s}\nspec: {template: {}}\n";
    assert_eq!(unknown("k.yml", text).len(), 1);
    assert!(unknown("k.yml", &text.replace("serving.knative.dev/v1", "v1")).is_empty());
}

#[test]
fn every_kind_that_makes_pods_is_looked_into() {
    let pod = "{spec: {containers: [{name: c, image: x, securityContext: {privileged: true}}]}}";
    let template = format!("{{template: {pod}}}");
    for kind in [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
    ] {
        let text = format!("apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: n}}\nspec: {template}\n");
        assert!(broken("k.yml", &text).contains("privileged"), "{kind}");
    }
    let cron = format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: n}}\nspec: {{jobTemplate: {{spec: {template}}}}}\n"
    );
    let plain = format!("apiVersion: v1\nkind: PodTemplate\nmetadata: {{name: n}}\ntemplate: {pod}\n");
    let list = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"spec\": {\"initContainers\": [{\"name\": \"i\", \"image\": \"x\", \"securityContext\": {\"privileged\": true}}]}}]}";
    for text in [cron.as_str(), plain.as_str(), list] {
        assert!(broken("k.yml", text).contains("privileged"), "{text}");
    }
}

#[test]
fn a_container_takes_from_its_pod_what_it_does_not_say_itself() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  securityContext: {runAsUser: 0, runAsNonRoot: true}\n  containers:\n    - {name: a, image: x}\n    - {name: b, image: x, securityContext: {runAsUser: 5}}\n";
    let document = document("p.yml", text).unwrap();
    let root: Vec<String> = checked(&document)
        .findings
        .into_iter()
        .filter(|one| one.rule == "root-user")
        .map(|one| one.workload)
        .collect();
    assert_eq!(root, ["Pod p, container a"]);
}

#[test]
fn kinds_without_pods_are_named_and_others_are_not_taken_for_clean() {
    let text = "kind: Service\napiVersion: v1\nmetadata: {name: s}\n---\nkind: Rollout\napiVersion: argoproj.io/v1alpha1\nmetadata: {name: r}\n";
    let document = document("k.yml", text).unwrap();
    assert_eq!(
        document.notes,
        ["k.yml: Service s makes no pods, and was not looked at"]
    );
    assert!(
        document.unknown[0]
            .what
            .starts_with("Rollout r is of a kind that is not known here"),
        "{:?}",
        document.unknown
    );
    assert_eq!(document.unknown[0].at.to_string(), "k.yml:5:1");
}

#[test]
fn what_podman_says_is_understood() {
    let found = all_of("i.json", include_str!("fixtures/podman-inspect.json"));
    assert_eq!(found, ["engine-socket"]);
}

#[test]
fn what_is_no_container_is_not_taken_for_one() {
    for text in [
        "[]",
        r#"[{"Id": "sha256:1", "RepoTags": ["x"]}]"#,
        "a: b",
        "just text",
        "{}",
        "# nothing\n",
    ] {
        assert!(!unknown("f.json", text).is_empty(), "{text}");
    }
    let part = r#"[{"Name": "/x", "HostConfig": {"Privileged": false}, "Config": {}}]"#;
    assert!(
        unknown("f.json", part)
            .iter()
            .any(|one| one.contains("has no CapAdd"))
    );
}

#[test]
fn what_is_not_known_is_told_with_its_place() {
    let told = unknown(
        "c.yml",
        "services:\n  a:\n    image: x\n    privilegd: true\n    x-mine: 1\n    volumes: {a: b}\n    read_only: maybe\n    security_opt: ['magic:on']\n",
    );
    assert_eq!(
        told,
        [
            "c.yml:4:5: services.a.privilegd is not known here",
            "c.yml:7:5: services.a.read_only should be true or false",
            "c.yml:8:20: the security option magic:on is not known here",
            "c.yml:6:5: services.a.volumes should be a list",
        ]
    );
    let pod = "apiVersion: v1\nkind: Pod\nspec: {hostPid: true, containers: [{name: c, image: x, securityContext: {privilged: true}}]}";
    assert_eq!(unknown("p.yml", pod).len(), 2);
}

#[test]
fn nothing_is_said_of_what_cannot_be_read() {
    let refused = |name: &str, text: &str| document(name, text).unwrap_err().to_string();
    assert!(refused("c.yml", "a: [").starts_with("c.yml: line 2, column 1: "));
    assert!(
        refused("c.yml", "services: {a: {image: x}, a: {image: y}}").contains("the key a is there twice")
    );
    assert!(refused("stockade.toml", "version = 1\nnetwrk = 1\n").contains("netwrk"));
    assert!(matches!(
        document("c.yml", &" ".repeat(5 << 20)),
        Err(LintError::TooLarge { .. })
    ));
}

#[test]
fn a_policy_is_known_by_its_first_line_where_it_has_no_name() {
    assert_eq!(
        document("stdin", "# mine\nversion = 1\n").unwrap().format,
        Format::Policy
    );
    assert_eq!(
        document("stdin", "services: {a: {image: 'x=1'}}").unwrap().format,
        Format::Compose
    );
}

#[test]
fn values_of_secrets_are_in_no_text() {
    let text =
        "services: {a: {image: x, environment: {DB_PASSWORD: hunter2, K: ghp_hunter2}, command: hunter2}}";
    let document = document("c.yml", text).unwrap();
    let told = format!("{:?}", checked(&document));
    assert!(told.contains("token-in-environment") && told.contains("secret-in-environment"));
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn files_that_repeat_themselves_end_soon() {
    let volumes = vec!["'/etc:/e'"; 5000].join(",");
    let mut extending = format!("services:\n  base: {{image: x, volumes: [{volumes}]}}\n");
    let mut sharing = "services:\n".to_owned();
    for index in 0..3000 {
        extending.push_str(&format!("  s{index}: {{extends: base}}\n"));
        sharing.push_str(&format!("  s{index}: {{image: x, volumes: ['data:/d']}}\n"));
    }
    let told = unknown("c.yml", &extending);
    assert!(told.iter().any(|one| one.contains("repeat too much")), "{told:?}");
    assert!(broken("c.yml", &sharing).contains("shared-volume"));
}
