//! Output on its way to a terminal: no bytes may make the filter let a string through, and
//! where the stream is cut makes no difference.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stockade_host::shim::screen::{Rules, Screen};

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    let (one, two) = bytes.split_at(cut.min(bytes.len()));
    for rules in [Rules::Text, Rules::Drawing] {
        let whole = Screen::new(rules).filter(bytes);
        let mut screen = Screen::new(rules);
        assert_eq!([screen.filter(one), screen.filter(two)].concat(), whole);
        if rules == Rules::Text {
            assert!(!whole.windows(2).any(|two| two[0] == 0x1b && b"]P_^X".contains(&two[1])));
            assert_eq!(Screen::new(rules).filter(&whole), whole);
        }
    }
});
