//! Addresses beyond the host, and other sandboxes. Nothing real is asked: sandboxes are started in a
//! network of their own whose every address is the canary.

use stockade_domain::ControlKind;

use crate::canary::{Proof, World, token};
use crate::denial::{Denial, arguments};
use crate::run::{Running, outside};
use crate::{Field, Finished, Probe, Setting, Severity, Verdict, ensure, ensure_sound};

const NONE: &[ControlKind] = &[ControlKind::NetworkNone];

pub const ALL: &[Probe] = &[
    Probe::question(
        "NW05",
        Severity::Critical,
        "names, by every kind of server",
        |field| unreachable(field, NAMES),
    )
    .needs(NONE)
    .small(),
    Probe::denial(
        "NW06",
        Severity::Medium,
        "echo requests",
        Denial::new("NW06", World::plant),
    )
    .needs(NONE)
    .small(),
    Probe::question("NW07", Severity::Critical, "addresses of IPv6", |field| {
        unreachable(field, IPV6)
    })
    .needs(NONE)
    .small(),
    Probe::denial(
        "NW08",
        Severity::High,
        "forged packets, and all that passes",
        Denial::new("NW08", World::plant),
    )
    .needs(NONE)
    .small(),
    Probe::question(
        "NW09",
        Severity::Critical,
        "the services that tell clouds' machines their keys",
        |field| unreachable(field, METADATA),
    )
    .needs(NONE)
    .small(),
    Probe::denial(
        "NW10",
        Severity::High,
        "sockets between virtual machines and their host",
        Denial::new("NW10", Proof::plant).control_if("the kernel has none"),
    )
    .needs(&[ControlKind::SyscallFilter])
    .small(),
    Probe::question("NW12", Severity::High, "ports of another sandbox", other_sandbox)
        .needs(NONE)
        .small(),
    Probe::question(
        "NW13",
        Severity::Medium,
        "a port inside that is open to the host and its network",
        open_port,
    )
    .needs(NONE)
    .small(),
    Probe::question(
        "NW14",
        Severity::High,
        "the host's addresses and routes, to change",
        configuration,
    )
    .needs(NONE)
    .small(),
    Probe::question(
        "NW15",
        Severity::High,
        "private networks, groups and everybody",
        |field| unreachable(field, PRIVATE),
    )
    .needs(NONE)
    .small(),
    Probe::question("NW16", Severity::Medium, "a flood of datagrams", |field| {
        flood(field, "udp", 500)
    })
    .needs(NONE)
    .small(),
    Probe::question(
        "NW17",
        Severity::High,
        "the first packets of a start",
        first_packets,
    )
    .needs(NONE)
    .small(),
    Probe::question("RS16", Severity::Medium, "a flood of connections", |field| {
        flood(field, "tcp", 200)
    })
    .needs(NONE)
    .small(),
];

/// Servers of names, those of the local network, and by protocols that look like others.
const NAMES: &[&str] = &[
    "udp:8.8.8.8:53",
    "tcp:8.8.8.8:53",
    "udp:127.0.0.53:53",
    "udp:[2001:4860:4860::8888]:53",
    "tcp:1.1.1.1:853",
    "tcp:9.9.9.9:443",
    "udp:1.1.1.1:443",
    "udp:224.0.0.251:5353",
    "udp:224.0.0.252:5355",
];

/// Global, of the link, local, tunnelled, translated, and IPv4 in another form.
const IPV6: &[&str] = &[
    "tcp:[2001:db8::1]:443",
    "udp:[2001:db8::1]:443",
    "tcp:[fd00:5::1]:80",
    "tcp:[2002:c633:6401::1]:80",
    "tcp:[64:ff9b::c633:6401]:80",
    "tcp:[2001:0:c633:6401::1]:80",
    "tcp:[::ffff:198.51.100.1]:80",
];

const METADATA: &[&str] = &[
    "tcp:169.254.169.254:80",
    "tcp:169.254.170.2:80",
    "tcp:168.63.129.16:80",
    "tcp:100.100.100.200:80",
    "tcp:[fd00:ec2::254]:80",
];

const PRIVATE: &[&str] = &[
    "tcp:10.0.0.1:80",
    "tcp:172.16.0.1:80",
    "tcp:172.17.0.1:22",
    "tcp:192.168.1.1:80",
    "tcp:100.64.0.1:80",
    "tcp:169.254.1.1:80",
    "udp:10.0.2.2:53",
    "udp:224.0.0.1:8080",
    "udp:239.255.255.250:1900",
    "udp:255.255.255.255:8080",
];

/// Attacks from outside, in a world.
fn control(field: &Field, world: &World, words: &[String]) -> Verdict<Finished> {
    let entrance = world.entrance();
    let entrance: Vec<&str> = entrance.iter().map(String::as_str).collect();
    field.ground.outside(&entrance, &[], words)
}

/// Attacks from a sandbox that is started in a world.
fn inside(field: &Field, world: &World, words: &[String]) -> Verdict<Finished> {
    let finished = field.sandbox().launcher(&world.entrance()).attack(words)?;
    ensure_sound!(
        finished.text().contains("DONE"),
        "it did not run to its end: {}",
        finished.all()
    );
    Ok(finished)
}

fn reach(token: &str, places: &[&str]) -> Vec<String> {
    let rest = std::iter::once(token).chain(places.iter().copied());
    arguments("reach", rest.map(str::to_owned).collect())
}

/// Every place is reached outside, which also shows that all was heard that came before.
fn all_reached(field: &Field, world: &mut World, places: &[&str]) -> Verdict {
    let token = token()?;
    let said = control(field, world, &reach(&token, places))?;
    for place in places {
        let expected = format!("{token} {place}");
        world
            .until(place, |heard| heard.texts.contains(&expected))
            .map_err(|stop| stop.about(&said.all()))?;
    }
    Ok(())
}

fn unreachable(field: &Field, places: &[&str]) -> Verdict {
    let mut world = World::start(field)?;
    all_reached(field, &mut world, places)?;
    let token = token()?;
    let tried = inside(field, &world, &reach(&token, places))?;
    all_reached(field, &mut world, places)?;
    let heard = world.heard()?.texts;
    let through: Vec<&String> = heard.iter().filter(|text| text.contains(&token)).collect();
    ensure!(
        through.is_empty(),
        "reached from inside: {through:?}\n{}",
        tried.all()
    );
    Ok(())
}

fn first_packets(field: &Field) -> Verdict {
    let places = ["udp:198.51.100.1:53", "udp:127.0.0.1:53", "tcp:198.51.100.1:80"];
    let mut world = World::start(field)?;
    let token = token()?;
    for _ in 0..5 {
        inside(field, &world, &reach(&token, &places))?;
    }
    all_reached(field, &mut world, &places)?;
    let heard = world.heard()?.texts;
    let through: Vec<&String> = heard.iter().filter(|text| text.contains(&token)).collect();
    ensure!(through.is_empty(), "reached from inside: {through:?}");
    Ok(())
}

fn flood(field: &Field, protocol: &str, count: u64) -> Verdict {
    let mut world = World::start(field)?;
    let words = |token: String| arguments("NW16", vec![token, count.to_string(), protocol.to_owned()]);
    control(field, &world, &words(token()?))?;
    // Of datagrams some may be lost.
    world.until("most of the flood", |heard| heard.count > count / 2)?;
    let mut world = World::start(field)?;
    inside(field, &world, &words(token()?))?;
    let places = ["udp:198.51.100.1:123", "tcp:198.51.100.1:80"];
    all_reached(field, &mut world, &places)?;
    let more = world.heard()?.count.saturating_sub(places.len() as u64);
    ensure!(more == 0, "{more} of {count} came through");
    Ok(())
}

fn configuration(field: &Field) -> Verdict {
    let words = arguments("NW14", Vec::new());
    let mut world = World::start(field)?;
    let said = control(field, &world, &words)?;
    ensure_sound!(
        world.heard()?.configured,
        "the control changed nothing: {}",
        said.all()
    );
    let mut world = World::start(field)?;
    let said = inside(field, &world, &words)?;
    ensure!(!world.heard()?.configured, "an address was added: {}", said.all());
    Ok(())
}

/// The port on which a listener says that it listens; none if it says that it cannot.
fn port_of(running: &mut Running) -> Verdict<Option<String>> {
    running.until("the listener", |running| {
        let said = String::from_utf8_lossy(&running.output()).into_owned();
        if said.contains("cannot listen") {
            return Some(None);
        }
        let line = said.lines().find_map(|line| line.strip_prefix("listening "))?;
        said.ends_with('\n').then(|| Some(line.to_owned()))
    })
}

/// Attacks a listener, and returns whether what it tells visitors came back.
fn visited(field: &Field, token: &str, port: Option<String>, from_inside: bool) -> Verdict<Option<String>> {
    // Who cannot listen cannot be reached on any port.
    let words = arguments("NW12", vec![port.unwrap_or_else(|| "9".to_owned())]);
    let said = match from_inside {
        true => field.wall.attack(&Setting::default(), &words)?,
        false => field.ground.outside(&[], &[], &words)?,
    };
    ensure_sound!(
        said.text().contains("DONE"),
        "it did not run to its end: {}",
        said.all()
    );
    Ok(said.text().contains(token).then(|| said.all()))
}

/// The control of both: outside, a listener is reached.
fn listener_is_reached(field: &Field) -> Verdict {
    let token = token()?;
    let mut listener = outside(field.ground, &[], &["listen", &token])?;
    let port = port_of(&mut listener)?;
    let reached = visited(field, &token, port, false)?;
    ensure_sound!(reached.is_some(), "the control did not reach the listener");
    Ok(())
}

fn listener_inside(field: &Field, token: &str) -> Verdict<(Running, Option<String>)> {
    drop(field.ground.payload());
    let words = [crate::ground::PAYLOAD_INSIDE, "listen", token];
    let mut listener = field.sandbox().start_open(&words)?;
    let port = port_of(&mut listener)?;
    Ok((listener, port))
}

fn other_sandbox(field: &Field) -> Verdict {
    listener_is_reached(field)?;
    let token = token()?;
    let (_listener, port) = listener_inside(field, &token)?;
    let reached = visited(field, &token, port, true)?;
    ensure!(reached.is_none(), "another sandbox was reached: {reached:?}");
    Ok(())
}

fn open_port(field: &Field) -> Verdict {
    listener_is_reached(field)?;
    let token = token()?;
    let (_listener, port) = listener_inside(field, &token)?;
    let reached = visited(field, &token, port, false)?;
    ensure!(reached.is_none(), "the host reaches a port inside: {reached:?}");
    Ok(())
}
