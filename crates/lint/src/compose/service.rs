//! One service of a compose file.

use super::layers::Layers;
use super::{Use, mounts};
use crate::gather::{Gather, image_tag, shown, tidy_capability, tidy_path};
use crate::model::{Key, Kind, Workload};
use crate::node::{Cursor, Where};
use crate::secrets;

/// Keys that are read here.
const READ: &[&str] = &[
    "privileged",
    "cap_add",
    "cap_drop",
    "volumes",
    "volumes_from",
    "pid",
    "ipc",
    "network_mode",
    "net",
    "uts",
    "userns_mode",
    "cgroup",
    "cgroup_parent",
    "security_opt",
    "user",
    "read_only",
    "mem_limit",
    "cpus",
    "cpu_quota",
    "cpu_count",
    "cpu_percent",
    "pids_limit",
    "deploy",
    "devices",
    "device_cgroup_rules",
    "group_add",
    "image",
    "build",
    "environment",
    "ports",
    "restart",
    "sysctls",
    "extends",
    "use_api_socket",
    "post_start",
    "pre_stop",
    "gpus",
];

/// Keys that change nothing about the walls.
const HARMLESS: &[&str] = &[
    "annotations",
    "attach",
    "blkio_config",
    "command",
    "configs",
    "container_name",
    "cpu_period",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpuset",
    "credential_spec",
    "depends_on",
    "develop",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "expose",
    "external_links",
    "extra_hosts",
    "healthcheck",
    "hostname",
    "init",
    "isolation",
    "labels",
    "label_file",
    "links",
    "logging",
    "log_driver",
    "log_opt",
    "mac_address",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "platform",
    "profiles",
    "pull_policy",
    "runtime",
    "scale",
    "secrets",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "tmpfs",
    "tty",
    "ulimits",
    "volume_driver",
    "working_dir",
    "cpu_count",
    "dockerfile",
];

/// Namespaces, by the keys that name them; `net` is of the first version.
const NAMESPACES: [(&str, Key); 7] = [
    ("pid", Key::PidNamespace),
    ("ipc", Key::IpcNamespace),
    ("network_mode", Key::NetworkNamespace),
    ("net", Key::NetworkNamespace),
    ("uts", Key::UtsNamespace),
    ("userns_mode", Key::UserNamespace),
    ("cgroup", Key::CgroupNamespace),
];

/// Single values, by their keys.
const VALUES: [(&str, Key); 3] = [
    ("cgroup_parent", Key::CgroupParent),
    ("user", Key::User),
    ("restart", Key::Restart),
];

/// Upper bounds: any of the ways to write one is enough.
const LIMITS: [(&[&str], Key); 8] = [
    (&["mem_limit"], Key::MemoryLimit),
    (&["deploy", "resources", "limits", "memory"], Key::MemoryLimit),
    (&["cpus"], Key::CpuLimit),
    (&["cpu_quota"], Key::CpuLimit),
    (&["cpu_count"], Key::CpuLimit),
    (&["deploy", "resources", "limits", "cpus"], Key::CpuLimit),
    (&["pids_limit"], Key::PidsLimit),
    (&["deploy", "resources", "limits", "pids"], Key::PidsLimit),
];

/// A service as it was read.
pub(super) struct Read {
    pub workload: Workload,
    pub volumes: Vec<(String, Use)>,
}

pub(super) struct Service<'a> {
    layers: Layers<'a>,
    workload: Workload,
}

impl<'a> Service<'a> {
    pub fn new(name: &str, layers: Layers<'a>) -> Self {
        let workload = Workload::new(Kind::Service, format!("service {name}"), layers.at());
        Self { layers, workload }
    }

    pub fn read(mut self, gather: &mut Gather) -> Read {
        for layer in self.layers.each() {
            gather.only(layer, &[READ, HARMLESS]);
        }
        self.rights(gather);
        self.values(gather);
        self.limits(gather);
        self.options(gather);
        self.image(gather);
        self.environment(gather);
        self.ports(gather);
        self.devices(gather);
        self.hooks(gather);
        self.taken_volumes(gather);
        let volumes = mounts::read(&self.layers, &mut self.workload, gather);
        Read {
            workload: self.workload,
            volumes,
        }
    }

    fn rights(&mut self, gather: &mut Gather) {
        let flags = [
            ("privileged", Key::Privileged),
            ("read_only", Key::ReadOnlyRoot),
            ("use_api_socket", Key::EngineSocket),
        ];
        for (name, key) in flags {
            if let Some((value, at)) = self.layers.flag(self.layers.find(&[name]), gather) {
                self.workload.set(key, value.to_string(), at);
            }
        }
        for (name, key) in [
            ("cap_add", Key::CapabilityAdded),
            ("cap_drop", Key::CapabilityDropped),
        ] {
            for said in self.layers.texts(name, gather) {
                self.workload.add(
                    key,
                    tidy_capability(&said.text),
                    said.text,
                    said.is_known,
                    said.at,
                );
            }
        }
        for said in self.layers.texts("group_add", gather) {
            self.workload.set(Key::Group, said.text, said.at);
        }
        for said in self.layers.texts("device_cgroup_rules", gather) {
            self.workload.set(Key::DeviceRule, said.text, said.at);
        }
    }

    fn values(&mut self, gather: &mut Gather) {
        for (name, key) in NAMESPACES.into_iter().chain(VALUES) {
            let Some(said) = self.layers.said(self.layers.find(&[name]), gather) else {
                continue;
            };
            // A user's group does not matter here.
            let value = if key == Key::User {
                said.text.split(':').next().unwrap_or_default()
            } else {
                &said.text
            };
            let value = value.to_owned();
            self.workload.add(key, value, said.text, said.is_known, said.at);
        }
        let Some(sysctls) = self.layers.find(&["sysctls"]) else {
            return;
        };
        let settings: Vec<(String, Where)> = match sysctls.entries() {
            Some(entries) => entries.into_iter().map(|(name, one)| (name, one.at())).collect(),
            None => self
                .layers
                .texts("sysctls", gather)
                .into_iter()
                .map(|said| (said.text, said.at))
                .collect(),
        };
        for (setting, at) in settings {
            let name = setting.split('=').next().unwrap_or_default().trim().to_owned();
            self.workload.set(Key::Sysctl, name, at);
        }
    }

    fn limits(&mut self, gather: &mut Gather) {
        for (way, key) in LIMITS {
            let Some(said) = self.layers.said(self.layers.find(way), gather) else {
                continue;
            };
            // These lift the limit.
            if !matches!(said.text.as_str(), "0" | "-1") {
                self.workload
                    .add(key, said.text.clone(), said.text, said.is_known, said.at);
            }
        }
    }

    fn options(&mut self, gather: &mut Gather) {
        for said in self.layers.texts("security_opt", gather) {
            if said.is_known && !security_option(&said.text, &said.at, &mut self.workload) {
                gather.unknown(
                    said.at,
                    format!("the security option {} is not known here", shown(&said.text)),
                );
            }
        }
    }

    fn image(&mut self, gather: &mut Gather) {
        let build = self.layers.find(&["build"]);
        if let Some(said) = self.layers.quietly(self.layers.find(&["image"]), gather) {
            // With a variable in it, it may be pinned where it is started; what is built here is not pulled.
            let tag = match (&build, said.is_known) {
                (Some(_), _) => "built",
                (None, true) => image_tag(&said.text),
                (None, false) => "tag",
            };
            self.workload.add(
                Key::ImageTag,
                tag.to_owned(),
                said.text.clone(),
                true,
                said.at.clone(),
            );
            self.workload.set(Key::Image, said.text, said.at);
        }
        let Some(build) = build.filter(Cursor::is_map) else {
            return;
        };
        if let Some((true, at)) = self.layers.flag(build.get("privileged"), gather) {
            self.workload.set(Key::BuildPrivilege, "privileged", at);
        }
        if let Some(network) = build.get("network").filter(|one| one.text() == Some("host")) {
            self.workload
                .set(Key::BuildPrivilege, "network: host", network.at());
        }
        for entitlement in gather.list(build.get("entitlements")) {
            let text = entitlement.text().unwrap_or_default().to_owned();
            self.workload.set(Key::BuildPrivilege, text, entitlement.at());
        }
        self.variables(build.get("args"), gather);
    }

    fn environment(&mut self, gather: &mut Gather) {
        let all: Vec<Cursor> = self
            .layers
            .each()
            .filter_map(|layer| layer.get("environment"))
            .collect();
        for one in all {
            self.variables(Some(one), gather);
        }
    }

    /// A map, or a list of `NAME=VALUE`.
    fn variables(&mut self, at: Option<Cursor>, gather: &mut Gather) {
        let Some(at) = at else { return };
        if let Some(entries) = at.entries() {
            for (name, one) in entries {
                let said = if one.node.is_null() {
                    None
                } else {
                    self.layers.quietly(Some(one.clone()), gather)
                };
                let (value, is_known) = said.map_or((None, true), |said| (Some(said.text), said.is_known));
                secrets::add_variable(&mut self.workload, &name, value.as_deref(), is_known, &one.at());
            }
            return;
        }
        for item in gather.list(Some(at)) {
            let Some(said) = self.layers.quietly(Some(item), gather) else {
                continue;
            };
            let (name, value) = match said.text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (said.text.as_str(), None),
            };
            secrets::add_variable(&mut self.workload, name, value, said.is_known, &said.at);
        }
    }

    fn ports(&mut self, gather: &mut Gather) {
        for item in self.layers.items("ports", gather) {
            // Without a port of the host one is chosen, and published all the same.
            if item.is_map() {
                let port = item.get("target");
                let port = port
                    .as_ref()
                    .and_then(Cursor::text)
                    .unwrap_or_default()
                    .to_owned();
                let address = self.layers.said(item.get("host_ip"), gather);
                let (address, is_known) =
                    address.map_or((String::new(), true), |said| (said.text, said.is_known));
                self.workload
                    .add(Key::PortAddress, address, port, is_known, item.at());
            } else if let Some(said) = self.layers.quietly(Some(item), gather) {
                let address = address_of(&said.text).to_owned();
                let is_known = !address.contains("${");
                if !is_known {
                    let what = format!("{}: the address is known only when it is started", said.path);
                    gather.unknown(said.at.clone(), what);
                }
                self.workload
                    .add(Key::PortAddress, address, said.text, is_known, said.at);
            }
        }
    }

    fn devices(&mut self, gather: &mut Gather) {
        for item in self.layers.items("devices", gather) {
            let source = if item.is_map() {
                item.get("source")
            } else {
                Some(item)
            };
            let Some(said) = self.layers.said(source, gather) else {
                continue;
            };
            let source = said.text.split(':').next().unwrap_or_default();
            self.workload.add(
                Key::Device,
                tidy_path(source),
                said.text.clone(),
                said.is_known,
                said.at,
            );
        }
    }

    /// Commands that are run inside after the start, with rights of their own.
    fn hooks(&mut self, gather: &mut Gather) {
        for key in ["post_start", "pre_stop"] {
            for hook in self.layers.items(key, gather) {
                if let Some((true, at)) = self.layers.flag(hook.get("privileged"), gather) {
                    self.workload.set(Key::Privileged, "true", at);
                }
            }
        }
    }

    /// `volumes_from` takes all mounts of another.
    fn taken_volumes(&mut self, gather: &mut Gather) {
        for said in self.layers.texts("volumes_from", gather) {
            if !said.text.ends_with(":ro") {
                self.workload.set(
                    Key::SharedVolume,
                    format!("all volumes of {}", said.text),
                    said.at,
                );
            }
        }
    }
}

/// The host's address of a published port in its short form; without one it is all of them.
fn address_of(text: &str) -> &str {
    if let Some((address, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    let before = text.rsplit_once(':').map(|(before, _)| before);
    let address = before.and_then(|before| before.rsplit_once(':'));
    address.map_or("", |(address, _)| address)
}

/// What `security_opt` can say, with `:` or `=`. False if it is not known.
pub(crate) fn security_option(text: &str, at: &Where, workload: &mut Workload) -> bool {
    let (name, value) = text.split_once(['=', ':']).unwrap_or((text, "true"));
    let at = at.clone();
    match name {
        "no-new-privileges" => match crate::gather::truth(value) {
            Some(value) => workload.set(Key::NoNewPrivileges, value.to_string(), at),
            None => return false,
        },
        "seccomp" if matches!(value, "unconfined" | "default" | "builtin") => {
            let value = if value == "builtin" { "default" } else { value };
            workload.set(Key::Seccomp, value, at);
        }
        // A profile can be handed over whole.
        "seccomp" => workload.set(
            Key::Seccomp,
            if value.starts_with('{') {
                "written out"
            } else {
                value
            },
            at,
        ),
        "apparmor" => workload.set(Key::AppArmor, value, at),
        "label" => match value.split_once(':').unwrap_or((value, "")) {
            ("disable", _) => workload.set(Key::Selinux, "disabled", at),
            ("type", kind) => workload.set(Key::Selinux, kind, at),
            ("user" | "role" | "level" | "filetype" | "nested", _) => {}
            _ => return false,
        },
        "systempaths" if value == "unconfined" => workload.set(Key::ProcMount, "unmasked", at),
        "unmask" => workload.set(Key::ProcMount, "unmasked", at),
        "mask" | "writable-cgroups" | "proc-opts" => {}
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_the_address_that_they_are_published_on() {
        let cases = [
            ("80", ""),
            ("8080:80", ""),
            ("127.0.0.1:8080:80/tcp", "127.0.0.1"),
            ("0.0.0.0::80", "0.0.0.0"),
            ("[::1]:80:80", "::1"),
            ("3000-3005:3000-3005", ""),
        ];
        for (text, address) in cases {
            assert_eq!(address_of(text), address, "{text}");
        }
    }
}
