//! What is different inside.

use std::path::Path;

use stockade_wire::limits::MAX_TREE_NAMES;
use stockade_wire::{FileAnswer, FileOperation, TreeNode};

use crate::error::Result;
use crate::session::Session;

/// A look at the tree.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) generation: u64,
    /// Everything was told, and not what differs alone.
    pub(super) whole: bool,
    pub(super) nodes: Vec<TreeNode>,
}

/// Has the guest look, and hears what it tells.
pub(super) async fn survey(session: &Session, root: &Path, since: Option<u64>, still: bool) -> Result<Look> {
    let answer = session.file(root, FileOperation::Survey { since, still }).await?;
    let FileAnswer::Surveyed {
        generation,
        count,
        whole,
    } = answer
    else {
        return Err(session.unfit(&answer));
    };
    // What was there may be gone, all of it, and as much be new.
    let limit = MAX_TREE_NAMES * 2;
    let count = usize::try_from(count).ok().filter(|count| *count <= limit);
    let Some(count) = count else {
        return Err(session.protocol(&format!("it tells of more than {limit} names")));
    };
    if since.is_none() && !whole {
        return Err(session.protocol("it told a difference from nothing"));
    }
    let mut nodes: Vec<TreeNode> = Vec::new();
    while nodes.len() < count {
        let from = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let answer = session
            .file(root, FileOperation::Nodes { generation, from })
            .await?;
        let FileAnswer::Nodes(more) = answer else {
            return Err(session.unfit(&answer));
        };
        // A guest that tells nothing would keep us here for ever.
        if more.is_empty() || nodes.len() + more.len() > count {
            return Err(session.protocol("it told of more or fewer names than it had announced"));
        }
        if whole && more.iter().any(|node| matches!(node, TreeNode::Gone { .. })) {
            return Err(session.protocol("it told of a missing name where it told everything"));
        }
        nodes.extend(more);
    }
    Ok(Look {
        generation,
        whole,
        nodes,
    })
}
