//! How sizes, times and processor counts are written.

use std::str::FromStr;

use super::{ByteCount, CpuLimit, CpuMillis, DurationMs, Limit, UnitError};

const SIZE_HELP: &str =
    "write a number and a unit: 512M, 1.5G, 2GiB (1024-based), 500MB (1000-based), or plain bytes";
const TIME_HELP: &str = "write a number and a unit: 500ms, 30s, 5m, 1h, or 1h30m";
const CPU_HELP: &str = "write how many processors' worth: 2, 1.5 or 0.5";
const COUNT_HELP: &str = "write a whole number, such as 512, or none";

/// Longest number that is read: beyond it the value could not be represented anyway.
const MAX_DIGITS: usize = 20;
/// Decimals that are read; a finer share of any unit is below one byte or millisecond.
const MAX_DECIMALS: usize = 12;
/// Longest part of a wrong text that is repeated in its error.
const MAX_ECHO_CHARS: usize = 40;

/// What is being read, for its errors.
struct Grammar {
    what: &'static str,
    help: &'static str,
}

const SIZE: Grammar = Grammar {
    what: "a size",
    help: SIZE_HELP,
};
const TIME: Grammar = Grammar {
    what: "a time span",
    help: TIME_HELP,
};
const CPUS: Grammar = Grammar {
    what: "a number of processors",
    help: CPU_HELP,
};
const COUNT: Grammar = Grammar {
    what: "a count",
    help: COUNT_HELP,
};

impl Grammar {
    fn refuse(&self, text: &str, why: impl Into<String>) -> UnitError {
        UnitError {
            text: echo(text),
            what: self.what,
            why: why.into(),
            help: self.help,
        }
    }
}

/// A wrong text as it may be repeated: short, without control characters.
pub(super) fn echo(text: &str) -> String {
    let mut echo: String = text
        .chars()
        .take(MAX_ECHO_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MAX_ECHO_CHARS).is_some() {
        echo.push('…');
    }
    echo
}

/// A decimal number, exact: `whole + fraction / 10^decimals`.
struct Decimal {
    whole: u128,
    fraction: u128,
    scale: u128,
}

impl Decimal {
    /// Reads the number at the start of `text`; returns the rest too.
    fn read(text: &str) -> Result<(Self, &str), &'static str> {
        let (whole, rest) = split_digits(text);
        if whole.is_empty() {
            return Err("it does not start with a number");
        }
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("0", rest),
        };
        if fraction.is_empty() {
            return Err("digits must follow the decimal point");
        }
        if whole.len() > MAX_DIGITS || fraction.len() > MAX_DECIMALS {
            return Err("the number has too many digits");
        }
        let number = |digits: &str| {
            digits
                .parse::<u128>()
                .map_err(|_| "the number has too many digits")
        };
        let scale = std::iter::repeat_n(10u128, fraction.len()).product();
        Ok((
            Self {
                whole: number(whole)?,
                fraction: number(fraction)?,
                scale,
            },
            rest,
        ))
    }

    /// The number in a unit that holds `size` of the smallest one, rounded down.
    fn times(&self, size: u64) -> u128 {
        let size = u128::from(size);
        self.whole
            .saturating_mul(size)
            .saturating_add(self.fraction.saturating_mul(size) / self.scale)
    }

    fn is_whole(&self) -> bool {
        self.fraction == 0
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn split_letters(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    text.split_at(end)
}

impl FromStr for ByteCount {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, rest) = Decimal::read(text.trim()).map_err(|why| SIZE.refuse(text, why))?;
        let unit = rest.trim_start();
        let size = size_of_unit(unit)
            .ok_or_else(|| SIZE.refuse(text, format!("`{}` is no unit of size", echo(unit))))?;
        if size == 1 && !number.is_whole() {
            return Err(SIZE.refuse(text, "there are no parts of a byte"));
        }
        u64::try_from(number.times(size))
            .ok()
            .filter(|bytes| *bytes <= i64::MAX as u64)
            .map(Self)
            .ok_or_else(|| SIZE.refuse(text, "it is larger than 8 EiB"))
    }
}

fn size_of_unit(unit: &str) -> Option<u64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    })
}

/// Units of time, longest first: the order in which they may be combined.
const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for DurationMs {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let mut rest = text.trim();
        let mut total: u128 = 0;
        let mut next_unit = 0;
        loop {
            let (number, after) = Decimal::read(rest).map_err(|why| TIME.refuse(text, why))?;
            let (unit, after) = split_letters(after.trim_start());
            if unit.is_empty() {
                return Err(TIME.refuse(text, "a unit is missing"));
            }
            let index = TIME_UNITS
                .iter()
                .position(|(name, _)| *name == unit)
                .ok_or_else(|| TIME.refuse(text, format!("`{}` is no unit of time", echo(unit))))?;
            if index < next_unit {
                return Err(TIME.refuse(text, "each unit may stand once, longer ones first"));
            }
            let size = TIME_UNITS[index].1;
            if size == 1 && !number.is_whole() {
                return Err(TIME.refuse(text, "there are no parts of a millisecond"));
            }
            total = total.saturating_add(number.times(size));
            next_unit = index + 1;
            rest = after.trim_start();
            if rest.is_empty() {
                break;
            }
        }
        u64::try_from(total)
            .ok()
            .filter(|ms| *ms <= i64::MAX as u64)
            .map(Self)
            .ok_or_else(|| TIME.refuse(text, "it is too long"))
    }
}

impl FromStr for CpuMillis {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const LEAST: u128 = 10; // the kernel's smallest quota is 1 ms in a period of 100 ms
        const MOST: u128 = 10_000_000;
        let (number, rest) = Decimal::read(text.trim()).map_err(|why| CPUS.refuse(text, why))?;
        if !rest.is_empty() {
            return Err(CPUS.refuse(text, "it takes no unit"));
        }
        let millis = number.times(1_000);
        if !(LEAST..=MOST).contains(&millis) {
            return Err(CPUS.refuse(text, "it is not between 0.01 and 10000"));
        }
        u32::try_from(millis)
            .map(Self)
            .map_err(|_| CPUS.refuse(text, "it is too large"))
    }
}

impl FromStr for CpuLimit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let CpuMillis(millis) = text.parse()?;
        Ok(Self {
            quota_millis: Some(millis),
            weight: Self::DEFAULT_WEIGHT,
        })
    }
}

/// Reads a bound that `none` lifts.
fn limit<T: FromStr<Err = UnitError>>(text: &str) -> Result<Limit<T>, UnitError> {
    if text.trim() == "none" {
        Ok(Limit::Off)
    } else {
        text.parse().map(Limit::AtMost)
    }
}

impl FromStr for Limit<ByteCount> {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match limit(text)? {
            Limit::AtMost(ByteCount(0)) => {
                Err(SIZE.refuse(text, "a limit of nothing lets nothing run, and none lifts it"))
            }
            other => Ok(other),
        }
    }
}

impl FromStr for Limit<DurationMs> {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match limit(text)? {
            Limit::AtMost(DurationMs(0)) => {
                Err(TIME.refuse(text, "no command ends in no time, and none lifts the limit"))
            }
            other => Ok(other),
        }
    }
}

impl FromStr for Limit<CpuMillis> {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        limit(text)
    }
}

impl FromStr for Limit<u32> {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text.trim() {
            "none" => Ok(Self::Off),
            "0" => Err(COUNT.refuse(text, "a limit of nothing lets nothing run, and none lifts it")),
            digits => digits
                .parse()
                .map(Self::AtMost)
                .map_err(|_| COUNT.refuse(text, "it is not a whole number up to 4294967295")),
        }
    }
}

#[cfg(test)]
mod tests;
