//! A network for the attack alone, in which every address of the internet is the canary.

use std::path::Path;
use std::time::{Duration, Instant};

use super::victim::Helper;
use super::{Canary, Seen};
use crate::ground::HOST_PATH;
use crate::verdict::{Verdict, broken, skip};
use crate::{Field, host};

/// Far longer than a message within one machine takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sandboxes that are started in it have it as their host's network.
pub struct World {
    helper: Helper,
}

/// What a world has seen.
pub struct Heard {
    /// Connections and datagrams.
    pub count: u64,
    /// An address was given to an interface.
    pub configured: bool,
    /// The different contents.
    pub texts: Vec<String>,
}

impl World {
    /// Starts one.
    ///
    /// # Errors
    /// Ordinary users cannot make networks; a tool is missing.
    pub fn start(field: &Field) -> Verdict<Self> {
        if !host::is_root() {
            return skip("a network of its own needs root");
        }
        let mut places = HOST_PATH.split(':');
        if !places.any(|place| Path::new(place).join("nsenter").exists()) {
            return skip("inconclusive: nsenter is missing");
        }
        let (helper, _) = Helper::start(field, &["world"], "")?;
        Ok(Self { helper })
    }

    /// As a canary: an attack says `REACHED` with what only this world can answer.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        Ok(Box::new(Self::start(field)?))
    }

    /// What starts a program in it.
    #[must_use]
    pub fn entrance(&self) -> [String; 2] {
        let network = format!("--net=/proc/{}/ns/net", self.helper.pid());
        ["nsenter".to_owned(), network]
    }

    /// What it has seen so far.
    ///
    /// # Errors
    /// It does not answer.
    pub fn heard(&mut self) -> Verdict<Heard> {
        let Some(line) = self.helper.ask() else {
            return broken("the attack's network does not answer");
        };
        let mut fields = line.split('\t');
        let count = fields.next().and_then(|text| text.parse().ok());
        let configured = fields.next().is_some_and(|text| !text.is_empty());
        match count {
            Some(count) => Ok(Heard {
                count,
                configured,
                texts: fields.map(str::to_owned).collect(),
            }),
            None => broken(format!("the attack's network answers {line}")),
        }
    }

    /// Waits until it has seen something.
    ///
    /// # Errors
    /// It did not: what it has seen instead.
    pub fn until(&mut self, what: &str, is_seen: impl Fn(&Heard) -> bool) -> Verdict {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard()?;
            if is_seen(&heard) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return broken(format!(
                    "the control did not reach {what}, of which were seen {} messages: {:?}",
                    heard.count, heard.texts
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Canary for World {
    fn outside(&self) -> Vec<String> {
        Vec::new()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        let mut lines = seen.output.lines();
        lines.find(|line| line.starts_with("REACHED")).map(str::to_owned)
    }

    fn launcher(&self) -> Vec<String> {
        self.entrance().to_vec()
    }
}
