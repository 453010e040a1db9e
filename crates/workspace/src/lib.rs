//! See the crate's description; nothing stands here yet.
