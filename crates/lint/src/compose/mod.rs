//! Compose files, of all versions: from the first, where services stand at the top, to the specification of today.
//!
//! A service is read as a pile of layers, its own above those that it extends: a value comes from the uppermost that
//! has it, lists from all of them. So everything keeps the place where it was written.

mod layers;
mod mounts;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::gather::Gather;
use crate::limits::{MAX_EXTENDING, MAX_EXTENDS, MAX_FILES, MAX_SETTINGS};
use crate::model::{Key, Kind, Workload};
use crate::node::{Cursor, Node, Where};
use crate::read::Options;
use layers::Layers;
use service::Service;
pub(crate) use service::security_option;

/// What may stand at the top beside the services. Volumes and the like are described where they are used.
const TOP: &[&str] = &[
    "version", "name", "services", "include", "networks", "volumes", "configs", "secrets", "models",
];

/// Reads compose files.
pub(crate) struct Compose<'a> {
    options: &'a Options<'a>,
    /// Files that were read, with all their documents.
    files: BTreeMap<String, Vec<Rc<Node>>>,
    included: BTreeSet<String>,
    /// Services that extend others, and settings of all, so far.
    extending: usize,
    settings: usize,
    /// Who mounts a named volume, with the place, and whether it writes.
    volumes: BTreeMap<String, Vec<Use>>,
}

/// A workload that mounts a volume.
pub(crate) struct Use {
    workload: String,
    at: Where,
    writes: bool,
}

impl<'a> Compose<'a> {
    pub fn new(options: &'a Options<'a>) -> Self {
        Self {
            options,
            files: BTreeMap::new(),
            included: BTreeSet::new(),
            extending: 0,
            settings: 0,
            volumes: BTreeMap::new(),
        }
    }

    /// Reads one file.
    pub fn file(&mut self, root: &Cursor, gather: &mut Gather) {
        let is_first_version = root.get("services").is_none() && root.get("include").is_none();
        let services = if is_first_version {
            gather.map(Some(root.clone()))
        } else {
            gather.only(root, &[TOP]);
            gather.map(root.get("services"))
        };
        for (name, service) in services {
            self.service(root, &name, service, gather);
        }
        self.driver_options(root, gather);
        self.handed_files(root, gather);
        if let Some(include) = root.get("include") {
            for one in gather.list(Some(include)) {
                self.include(&one, gather);
            }
        }
    }

    fn service(&mut self, root: &Cursor, name: &str, own: Cursor, gather: &mut Gather) {
        self.extending += usize::from(own.get("extends").is_some());
        if self.extending > MAX_EXTENDING || self.settings > MAX_SETTINGS {
            gather.unknown(
                root.at(),
                "the services repeat too much of each other: the rest was not looked at",
            );
            return;
        }
        let mut layers = vec![own];
        let mut seen = BTreeSet::new();
        let mut file = root.clone();
        while let Some(extends) = layers.last().and_then(|last| last.get("extends")) {
            let at = extends.at();
            if layers.len() > MAX_EXTENDS || !seen.insert(at.clone()) {
                gather.unknown(
                    at,
                    format!("service {name} extends itself, or more than {MAX_EXTENDS} others"),
                );
                break;
            }
            match self.extended(&file, &extends, gather) {
                Ok((root, base)) => {
                    file = root;
                    layers.push(base);
                }
                Err(why) => {
                    gather.unknown(at, format!("service {name}: what it extends was not read: {why}"));
                    break;
                }
            }
        }
        let layers = Layers::new(layers, self.options.variables);
        let read = Service::new(name, layers).read(gather);
        self.settings += read.workload.settings.len();
        for (volume, used) in read.volumes {
            self.volumes.entry(volume).or_default().push(used);
        }
        gather.workloads.push(read.workload);
    }

    /// The root of the file and the service in it that is extended.
    fn extended(
        &mut self,
        root: &Cursor,
        extends: &Cursor,
        gather: &mut Gather,
    ) -> Result<(Cursor, Cursor), String> {
        let text = |key| extends.get(key).and_then(|one| one.text().map(str::to_owned));
        let name = extends.text().map(str::to_owned).or_else(|| text("service"));
        let name = name.ok_or("it names no service")?;
        let root = match text("file") {
            Some(path) => self
                .beside(root, &path, gather)?
                .into_iter()
                .next()
                .ok_or("the file is empty")?,
            None => root.clone(),
        };
        let all = root.get("services").unwrap_or_else(|| root.clone());
        let base = all
            .get(&name)
            .ok_or_else(|| format!("there is no service {name}"))?;
        Ok((root, base))
    }

    fn include(&mut self, one: &Cursor, gather: &mut Gather) {
        let paths = match (one.text(), one.get("path")) {
            (Some(path), _) => vec![path.to_owned()],
            (None, Some(path)) => match path.text() {
                Some(path) => vec![path.to_owned()],
                None => gather
                    .list(Some(path))
                    .iter()
                    .filter_map(|one| one.text().map(str::to_owned))
                    .collect(),
            },
            (None, None) => Vec::new(),
        };
        if paths.is_empty() {
            gather.unknown(one.at(), "this include names no file");
        }
        for path in paths {
            match self.beside(one, &path, gather) {
                Ok(roots) => {
                    for root in roots {
                        if self.included.insert(root.file.to_string()) {
                            self.file(&root, gather);
                        }
                    }
                }
                Err(why) => gather.unknown(one.at(), format!("the included file was not read: {why}")),
            }
        }
    }

    /// The documents of another file.
    fn beside(&mut self, from: &Cursor, path: &str, gather: &mut Gather) -> Result<Vec<Cursor>, String> {
        let filled = crate::variables::fill(path, self.options.variables);
        if !filled.missing.is_empty() {
            return Err(format!(
                "its name depends on the variable {}",
                filled.missing.join(", ")
            ));
        }
        if self.files.len() >= MAX_FILES {
            return Err(format!("more than {MAX_FILES} files are named"));
        }
        let (name, bytes) = self.options.beside.read(&from.file, &filled.text)?;
        if !self.files.contains_key(&name) {
            let text = crate::read::text(&name, &bytes).map_err(|error| error.to_string())?;
            let documents = crate::read::documents(&name, text, gather).map_err(|error| error.to_string())?;
            self.files.insert(name.clone(), documents);
        }
        let file: Rc<str> = name.as_str().into();
        let documents = self.files.get(&name).into_iter().flatten();
        Ok(documents
            .map(|node| Cursor::root(Rc::clone(node), Rc::clone(&file)))
            .collect())
    }

    /// A named volume can be a path of the host in disguise: `driver_opts: {type: none, o: bind, device: /etc}`.
    fn driver_options(&mut self, root: &Cursor, gather: &mut Gather) {
        for (name, volume) in gather.map(root.get("volumes")) {
            let Some(device) = volume.find(&["driver_opts", "device"]) else {
                continue;
            };
            let options = volume.find(&["driver_opts", "o"]);
            let options = options.as_ref().and_then(Cursor::text).unwrap_or_default();
            let is_bind = options
                .split(',')
                .any(|one| matches!(one.trim(), "bind" | "rbind"));
            let Some(path) = device.text().filter(|_| is_bind) else {
                continue;
            };
            let mut disguised = Workload::new(Kind::Other, format!("volume {name}"), volume.at());
            let key = if options.split(',').any(|one| one.trim() == "ro") {
                Key::MountReadOnly
            } else {
                Key::MountWritable
            };
            let filled = crate::variables::fill(path, self.options.variables);
            if !filled.missing.is_empty() {
                gather.unknown(
                    device.at(),
                    format!("{} depends on {}", device.path, filled.missing.join(", ")),
                );
            }
            disguised.add(
                key,
                crate::gather::tidy_path(&filled.text),
                filled.text,
                filled.missing.is_empty(),
                device.at(),
            );
            gather.workloads.push(disguised);
        }
    }

    /// Secrets and configs with a file are that file of the host, mounted.
    fn handed_files(&mut self, root: &Cursor, gather: &mut Gather) {
        for (section, called) in [("secrets", "secret"), ("configs", "config")] {
            for (name, one) in gather.map(root.get(section)) {
                let Some((path, at)) = gather.text(one.get("file")) else {
                    continue;
                };
                let filled = crate::variables::fill(&path, self.options.variables);
                if !filled.missing.is_empty() {
                    gather.unknown(
                        at.clone(),
                        format!("{} depends on {}", one.path, filled.missing.join(", ")),
                    );
                }
                let mut handed = Workload::new(Kind::Other, format!("{called} {name}"), one.at());
                let path = crate::gather::tidy_path(&filled.text);
                handed.add(
                    Key::MountReadOnly,
                    path,
                    filled.text,
                    filled.missing.is_empty(),
                    at,
                );
                gather.workloads.push(handed);
            }
        }
    }

    /// Tells of volumes that one workload writes and others mount.
    pub fn share(&mut self, gather: &mut Gather) {
        let mut shared: BTreeMap<&str, Vec<(String, &Where)>> = BTreeMap::new();
        for (volume, uses) in &self.volumes {
            let users: BTreeSet<&str> = uses.iter().map(|one| one.workload.as_str()).collect();
            for one in uses.iter().filter(|one| one.writes) {
                let other = users.iter().find(|user| **user != one.workload);
                if let Some(other) = other {
                    let more = if users.len() > 2 { " and others" } else { "" };
                    let text = format!("{volume}, also in {other}{more}");
                    shared.entry(&one.workload).or_default().push((text, &one.at));
                }
            }
        }
        for workload in &mut gather.workloads {
            for (text, at) in shared.remove(workload.name.as_str()).unwrap_or_default() {
                workload.set(Key::SharedVolume, text, at.clone());
            }
        }
    }
}
