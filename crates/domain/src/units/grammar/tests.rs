use proptest::prelude::*;

use super::*;

fn size(text: &str) -> Result<u64, String> {
    text.parse::<ByteCount>()
        .map(|bytes| bytes.0)
        .map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<u64, String> {
    text.parse::<DurationMs>()
        .map(|time| time.0)
        .map_err(|error| error.to_string())
}

/// Units of 1024 and of 1000 are told apart, in either case.
#[test]
fn sizes_follow_the_grammar() {
    for (text, bytes) in [
        ("0", 0),
        ("4096", 4096),
        ("12B", 12),
        ("512M", 512 << 20),
        ("512m", 512 << 20),
        ("2GiB", 2 << 30),
        ("2 GiB", 2 << 30),
        ("1K", 1024),
        ("1KB", 1000),
        ("500MB", 500_000_000),
        ("1.5G", 3 << 29),
        ("0.5t", 1 << 39),
        (" 1g ", 1 << 30),
        ("0.0001K", 0),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
}

/// A refused size says what is wrong and how to write it.
#[test]
fn wrong_sizes_are_refused() {
    for text in [
        "",
        "G",
        "-1",
        "1.5",
        "1..5G",
        "1.G",
        ".5G",
        "1X",
        "1 G B",
        "1e9",
        "９",
        "99999999T",
        "1_000",
        "1,5G",
    ] {
        let error = size(text).expect_err(text);
        assert!(error.contains("512M") && error.contains("1024-based"), "{error}");
    }
    assert_eq!(
        size(&i64::MAX.to_string()),
        Ok(i64::MAX as u64),
        "the largest is accepted"
    );
    assert!(
        size(&(i64::MAX as u64 + 1).to_string()).is_err(),
        "one more is not"
    );
}

/// An error repeats neither control characters nor megabytes.
#[test]
fn errors_repeat_input_safely() {
    let error = size(&format!("1\u{1b}[31m{}", "x".repeat(100_000))).expect_err("nonsense");
    assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
}

/// Every unit alone, combinations from long to short.
#[test]
fn times_follow_the_grammar() {
    for (text, ms) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("1h30m", 5_400_000),
        ("1h 30m 5s 7ms", 5_405_007),
        ("1.5s", 1_500),
        ("90 s", 90_000),
    ] {
        assert_eq!(time(text), Ok(ms), "{text}");
    }
}

/// A number without a unit is refused with a hint, like everything outside the grammar.
#[test]
fn wrong_times_are_refused() {
    assert!(time("30").expect_err("bare").contains("a unit is missing"));
    for text in [
        "",
        "s",
        "30x",
        "1m1h",
        "1s1s",
        "1.5ms",
        "-1s",
        "1h30",
        "99999999999999999999h",
        "5M",
    ] {
        let error = time(text).expect_err(text);
        assert!(error.contains("1h30m"), "{error}");
    }
}

/// Processors are thousandths, inside what the kernel can express.
#[test]
fn processors_follow_the_grammar() {
    let millis = |text: &str| text.parse::<CpuMillis>().map(|cpus| cpus.0);
    assert_eq!(millis("1.5"), Ok(1500));
    assert_eq!(millis("2"), Ok(2000));
    assert_eq!(millis("0.01"), Ok(10));
    for text in ["", "0", "0.001", "-1", "1.5 cores", "10001", "NaN", "inf"] {
        assert!(millis(text).is_err(), "{text}");
    }
    let limit: CpuLimit = "1.5".parse().expect("grammar");
    assert_eq!(
        limit,
        CpuLimit {
            quota_millis: Some(1500),
            weight: 25
        }
    );
}

/// `none` lifts a bound; a bound of nothing is a mistake.
#[test]
fn limits_can_be_lifted_but_not_zero() {
    assert_eq!("none".parse::<Limit<ByteCount>>(), Ok(Limit::Off));
    assert_eq!(
        "1K".parse::<Limit<ByteCount>>(),
        Ok(Limit::AtMost(ByteCount(1024)))
    );
    assert_eq!("none".parse::<Limit<u32>>(), Ok(Limit::Off));
    assert_eq!("7".parse::<Limit<u32>>(), Ok(Limit::AtMost(7)));
    assert!("0".parse::<Limit<ByteCount>>().is_err());
    assert!("0s".parse::<Limit<DurationMs>>().is_err());
    assert!("0".parse::<Limit<u32>>().is_err());
    assert!("None".parse::<Limit<u32>>().is_err());
}

proptest! {
    /// What is printed without loss is read back as the same value.
    #[test]
    fn printed_sizes_are_read_back(count in 0u64..1024, power in 0u32..5) {
        let bytes = ByteCount(count << (10 * power));
        prop_assert_eq!(bytes.to_string().parse::<ByteCount>(), Ok(bytes));
    }

    /// Plain bytes are read back exactly.
    #[test]
    fn plain_bytes_are_read_back(bytes in 0..=i64::MAX as u64) {
        prop_assert_eq!(bytes.to_string().parse::<ByteCount>(), Ok(ByteCount(bytes)));
    }

    /// A rounded print is never more than it stands for.
    #[test]
    fn printed_sizes_never_grow(bytes in 0..=i64::MAX as u64) {
        let read: ByteCount = ByteCount(bytes).to_string().parse().expect("own print");
        prop_assert!(read.0 <= bytes);
    }

    /// Times are read back exactly.
    #[test]
    fn printed_times_are_read_back(ms in 0..=i64::MAX as u64) {
        let time = DurationMs(ms);
        prop_assert_eq!(time.to_string().parse::<DurationMs>(), Ok(time));
    }

    /// No text makes a grammar panic.
    #[test]
    fn any_text_is_answered(text in "\\PC{0,40}|[0-9.]{0,40}[a-zA-Z ]{0,4}") {
        let _ = text.parse::<Limit<ByteCount>>();
        let _ = text.parse::<Limit<DurationMs>>();
        let _ = text.parse::<Limit<CpuMillis>>();
        let _ = text.parse::<Limit<u32>>();
    }
}
