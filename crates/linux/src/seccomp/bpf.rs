//! A small generator of classic BPF for seccomp.
//!
//! Why not a library: a filter that compares call numbers one after the other has some 700
//! instructions and is run by the kernel once for every number when it is attached (it
//! keeps a bitmap of what is allowed whatever the arguments are). Number ranges in a
//! balanced tree need a fifth of that, and one filter holds all actions, where a library of
//! one action a filter needs several. Measured: see the module's documentation.
//!
//! Programs are built from the end to the start. Jumps only go forward, so the target of
//! a jump always exists when the jump is made, and equal tails are shared.

use libc::sock_filter;

const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;

/// Conditions on the loaded word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Test {
    Equal = 0x15,
    Greater = 0x25,
    AtLeast = 0x35,
    AnyBitOf = 0x45,
}

/// Words of `struct seccomp_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Number,
    Architecture,
    /// The lower half of an argument: all that the kernel looks at where the parameter is
    /// an `int`. Comparing all 64 bits could be passed by setting some of the upper ones.
    Argument(u32),
}

impl Word {
    fn offset(self) -> u32 {
        match self {
            Self::Number => 0,
            Self::Architecture => 4,
            Self::Argument(index) => 16 + 8 * index,
        }
    }
}

/// An instruction that others can jump to, by its place counted from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// The program so far, last instruction first.
#[derive(Default)]
pub(super) struct Assembler {
    reversed: Vec<sock_filter>,
    returns: Vec<(u32, Place)>,
}

impl Assembler {
    /// Ends with `value`.
    pub(super) fn give(&mut self, value: u32) -> Place {
        if let Some((_, place)) = self.returns.iter().find(|(known, _)| *known == value) {
            return *place;
        }
        let place = self.push(RETURN, 0, 0, value);
        self.returns.push((value, place));
        place
    }

    /// Goes to `yes` or `no`; the loaded word stays.
    pub(super) fn branch(&mut self, test: Test, operand: u32, yes: Place, no: Place) -> Place {
        if yes == no {
            return yes;
        }
        let yes = self.within_reach(yes);
        let no = self.within_reach(no);
        let (jump_yes, jump_no) = (self.distance(yes), self.distance(no));
        // `within_reach` keeps both below 256.
        let short = |distance: usize| u8::try_from(distance).unwrap_or(u8::MAX);
        self.push(test as u16, short(jump_yes), short(jump_no), operand)
    }

    /// Goes to `yes` if the loaded word is one of `values`.
    pub(super) fn one_of(&mut self, values: &[u32], yes: Place, no: Place) -> Place {
        values
            .iter()
            .rev()
            .fold(no, |rest, value| self.branch(Test::Equal, *value, yes, rest))
    }

    /// Loads a word, then goes on at `next`.
    pub(super) fn load(&mut self, word: Word, next: Place) -> Place {
        self.follow(next);
        self.push(LOAD_WORD, 0, 0, word.offset())
    }

    /// Clears all bits of the loaded word but `mask`, then goes on at `next`.
    pub(super) fn mask(&mut self, mask: u32, next: Place) -> Place {
        self.follow(next);
        self.push(AND, 0, 0, mask)
    }

    /// Goes to the place of the last range that starts at or below the loaded word.
    /// `ranges` are sorted by their start; the first one also takes all below it.
    pub(super) fn search(&mut self, ranges: &[(u32, Place)]) -> Option<Place> {
        if ranges.len() <= 1 {
            return ranges.first().map(|(_, place)| *place);
        }
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let start = high.first()?.0;
        let above = self.search(high)?;
        let below = self.search(low)?;
        Some(self.branch(Test::AtLeast, start, above, below))
    }

    /// The finished program, which starts at the instruction that was made last.
    pub(super) fn finish(mut self, start: Place) -> Vec<sock_filter> {
        self.follow(start);
        self.reversed.reverse();
        self.reversed
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Place {
        self.reversed.push(sock_filter { code, jt, jf, k });
        Place(self.reversed.len() - 1)
    }

    /// Instructions to skip from the next one that is made to `place`.
    fn distance(&self, place: Place) -> usize {
        self.reversed.len() - 1 - place.0
    }

    /// Makes the next instruction fall through to `place`.
    fn follow(&mut self, place: Place) {
        let distance = self.distance(place);
        if distance > 0 {
            self.push(JUMP, 0, 0, u32::try_from(distance).unwrap_or(u32::MAX));
        }
    }

    /// Conditional jumps skip at most 255 instructions; two more may be made before one.
    fn within_reach(&mut self, place: Place) -> Place {
        let distance = self.distance(place);
        if distance < 254 {
            return place;
        }
        self.push(JUMP, 0, 0, u32::try_from(distance).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
pub(super) mod interpreter {
    //! Runs a filter as the kernel does; knows just the instructions made here.

    use libc::sock_filter;

    /// One system call as a filter sees it.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Call {
        pub architecture: u32,
        pub number: u32,
        pub arguments: [u64; 6],
    }

    impl Call {
        fn word(&self, offset: u32) -> u32 {
            let argument = |index: u32| self.arguments[index as usize];
            match offset {
                0 => self.number,
                4 => self.architecture,
                offset if offset % 8 == 0 => (argument((offset - 16) / 8) & 0xffff_ffff) as u32,
                offset => (argument((offset - 20) / 8) >> 32) as u32,
            }
        }
    }

    /// What the filter returns, and after how many instructions.
    pub(in super::super) fn run(program: &[sock_filter], call: &Call) -> (u32, usize) {
        let (mut at, mut loaded, mut steps) = (0usize, 0u32, 0usize);
        loop {
            let instruction = program[at];
            let (code, k) = (instruction.code, instruction.k);
            at += 1;
            steps += 1;
            let condition = match code {
                super::RETURN => return (k, steps),
                super::LOAD_WORD => {
                    loaded = call.word(k);
                    continue;
                }
                super::AND => {
                    loaded &= k;
                    continue;
                }
                super::JUMP => {
                    at += k as usize;
                    continue;
                }
                0x15 => loaded == k,
                0x25 => loaded > k,
                0x35 => loaded >= k,
                0x45 => loaded & k != 0,
                other => panic!("instruction {other:#x} is not one of ours"),
            };
            at += usize::from(if condition { instruction.jt } else { instruction.jf });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::interpreter::{Call, run};
    use super::*;

    fn result_for(program: &[sock_filter], number: u32) -> u32 {
        run(
            program,
            &Call {
                architecture: 0,
                number,
                arguments: [0; 6],
            },
        )
        .0
    }

    /// A search finds the range of every number, also in programs longer than a jump.
    #[test]
    fn search_finds_ranges_of_any_count() {
        for count in [1u32, 2, 3, 7, 64, 255, 256, 700] {
            let mut assembler = Assembler::default();
            let ranges: Vec<_> = (0..count)
                .map(|index| (index * 3, assembler.give(index)))
                .collect();
            let start = assembler.search(&ranges).unwrap();
            let start = assembler.load(Word::Number, start);
            let program = assembler.finish(start);
            for number in 0..count * 3 + 10 {
                assert_eq!(
                    result_for(&program, number),
                    (number / 3).min(count - 1),
                    "{number} of {count}"
                );
            }
        }
    }

    /// Equal ends are made once.
    #[test]
    fn returns_are_shared() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.give(7), assembler.give(7));
        assert_ne!(assembler.give(7), assembler.give(8));
    }

    /// A mask applies before the comparison.
    #[test]
    fn mask_then_compare() {
        let mut assembler = Assembler::default();
        let (yes, no) = (assembler.give(1), assembler.give(0));
        let test = assembler.one_of(&[3, 5], yes, no);
        let masked = assembler.mask(0xf, test);
        let start = assembler.load(Word::Number, masked);
        let program = assembler.finish(start);
        assert_eq!(result_for(&program, 0x83), 1);
        assert_eq!(result_for(&program, 0x85), 1);
        assert_eq!(result_for(&program, 0x84), 0);
    }
}
