//! The policy: what a user writes. (Being written.)
