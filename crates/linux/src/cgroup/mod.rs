//! Control groups: limits on memory, processes and processor time that the kernel keeps.
//!
//! Three kinds of host are served: cgroup v2, cgroup v1 (each controller in a hierarchy of its
//! own, where one process may sit at a different path in each), and v2 for an ordinary user,
//! through a scope that the user's systemd delegates.
//!
//! Groups are named `stockade/<id>` below a *base*:
//!
//! | host | base | why there |
//! |---|---|---|
//! | v1 | our own group, of each controller | limits above us keep holding; v1 lets a group have processes and children |
//! | v2, root | the root of the tree | a v2 group with processes (ours) cannot give controllers to children; the root can, where the host already does |
//! | v2, delegated to us alone | our own group, after stepping aside into `stockade-supervisor` | the delegation is ours to use |
//! | v2, user of a systemd host | a transient scope from the user's systemd, likewise | the only delegation a user gets |
//!
//! Nothing outside of `stockade` and `stockade-supervisor` is ever written to, except
//! `cgroup.subtree_control` of a base that was delegated to us.

mod budget;
mod bus;
mod controller;
mod error;
mod files;
mod freezer;
mod group;
mod kill;
mod layout;
mod leftovers;
mod limits;
mod record;
mod scope;
mod survey;
mod unified;
mod v1;
mod v2;

pub use budget::{Budget, BudgetUse};
pub use controller::Controller;
pub use error::Error;
pub use freezer::Thawer;
pub use group::{Group, JoinMethod};
pub use leftovers::leftovers;
pub use limits::GroupLimits;
pub use record::{GroupRecord, Kind, SeatRecord};
pub use survey::{CgroupSurvey, survey};

/// What the functions of this module return.
pub type Result<T> = std::result::Result<T, Error>;

/// The directory below a base that holds our groups.
const OURS: &str = "stockade";
/// The group into which a supervisor moves itself so that its old one may hand on controllers.
const ASIDE: &str = "stockade-supervisor";
