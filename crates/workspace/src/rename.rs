//! Which new file is one that was moved. An overlay knows no renames: it shows a deletion and
//! an addition.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::bases::Bases;
use crate::change::{Change, ChangeKind, Content, NodeKind};
use crate::review::{Item, Renamed};
use crate::trees::{Side, Trees};

/// Files on one side; with more of them, only the first are looked at.
const MAX_FILES: usize = 500;
/// Larger files are not looked at.
const MAX_BYTES: u64 = 1 << 20;
/// At least so much has to be the same, in percent, as git wants.
const MIN_SIMILARITY: u64 = 50;

/// How many bytes each distinct line of a file takes.
type Lines = HashMap<u64, u64>;

/// A file that was moved, by the numbers of its two changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The deletion.
    pub(crate) from: usize,
    /// The addition.
    pub(crate) to: usize,
    /// How much of it is the same, in percent.
    similarity: u8,
}

/// Finds deletions and additions that are one file. What a file was when it was moved is told by its base,
/// where that was kept.
pub(crate) fn moved(trees: &Trees, changes: &[Change], bases: &Bases) -> Vec<Moved> {
    let is_candidate = |change: &Change, kind| {
        change.kind == kind && {
            let entry = change.after.or(change.before);
            entry.is_some_and(|entry| entry.node == NodeKind::File && (1..=MAX_BYTES).contains(&entry.bytes))
        }
    };
    let of = |kind| {
        let all = changes.iter().enumerate();
        all.filter(move |(_, change)| is_candidate(change, kind))
            .take(MAX_FILES)
    };
    let (gone, new): (Vec<_>, Vec<_>) = (of(ChangeKind::Deleted).collect(), of(ChangeKind::Added).collect());
    let mut pairs = Vec::new();
    if !gone.is_empty() && !new.is_empty() {
        let read =
            |side, change: &Change| lines(&trees.content(side, &change.path, MAX_BYTES).unwrap_or_default());
        let former = gone.iter().map(|(_, change)| {
            let base = bases.content(&change.path).map(|base| lines(&base));
            (read(Side::Before, change), base)
        });
        let former: Vec<(Lines, Option<Lines>)> = former.collect();
        for (to, change) in &new {
            let present = read(Side::After, change);
            for ((from, _), (former, base)) in gone.iter().zip(&former) {
                let of_base = base.as_ref().map_or(0, |base| similarity(base, &present));
                let score = similarity(former, &present).max(of_base);
                if score >= MIN_SIMILARITY {
                    pairs.push((score, *from, *to));
                }
            }
        }
    }
    // The most alike first; each file is in one pair.
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let (mut gone, mut new) = (HashSet::new(), HashSet::new());
    let free = pairs.into_iter().filter(|(_, from, to)| {
        let is_free = !gone.contains(from) && !new.contains(to);
        if is_free {
            gone.insert(*from);
            new.insert(*to);
        }
        is_free
    });
    let moved = free.map(|(score, from, to)| {
        let is_same = score == 100 && is_same(trees, changes.get(from), changes.get(to));
        let score = if is_same { 100 } else { score.min(99) };
        let similarity = u8::try_from(score).unwrap_or(99);
        Moved { from, to, similarity }
    });
    moved.collect()
}

/// Joins deletions and additions that are one file.
pub(crate) fn find(trees: &Trees, changes: Vec<Change>, bases: &Bases) -> Vec<Item> {
    let moved = moved(trees, &changes, bases);
    let gone: HashSet<usize> = moved.iter().map(|moved| moved.from).collect();
    let former: HashMap<usize, (Change, u8)> = moved
        .iter()
        .filter_map(|moved| Some((moved.to, (changes.get(moved.from)?.clone(), moved.similarity))))
        .collect();
    let all = changes.into_iter().enumerate();
    all.filter(|(position, _)| !gone.contains(position))
        .map(|(position, change)| item(change, former.get(&position)))
        .collect()
}

/// The same lines in another order are not the same file.
fn is_same(trees: &Trees, from: Option<&Change>, to: Option<&Change>) -> bool {
    let read = |side, change: Option<&Change>| trees.content(side, &change?.path, MAX_BYTES).ok();
    let before = read(Side::Before, from);
    before.is_some() && before == read(Side::After, to)
}

fn item(mut change: Change, former: Option<&(Change, u8)>) -> Item {
    let Some((from, similarity)) = former else {
        return Item {
            change,
            renamed: None,
        };
    };
    change.before = from.before;
    change.kind = ChangeKind::Changed;
    if *similarity == 100 {
        change.content = Content::Same;
    }
    Item {
        change,
        renamed: Some(Renamed {
            from: from.path.clone(),
            similarity: *similarity,
        }),
    }
}

fn lines(content: &[u8]) -> Lines {
    let mut lines = Lines::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        *lines.entry(hasher.finish()).or_default() += u64::try_from(line.len()).unwrap_or(u64::MAX);
    }
    lines
}

/// The share of bytes in lines that both have, in percent of the larger file. Only files whose
/// lines are the same in the same order are the same; that is checked by who wants to know.
fn similarity(before: &Lines, after: &Lines) -> u64 {
    let size = |lines: &Lines| lines.values().sum::<u64>();
    let common: u64 = before
        .iter()
        .map(|(line, bytes)| after.get(line).copied().unwrap_or(0).min(*bytes))
        .sum();
    common * 100 / size(before).max(size(after)).max(1)
}
