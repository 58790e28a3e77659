//! Compiles an OCI runtime configuration into a plan: the steps that create a container, as data.
//!
//! [`compile`] turns a [`Spec`], the [`HostFacts`] and a [`Request`] into a [`Plan`]: an ordered list of steps, each
//! the smallest action that a user would recognise in an error message. This crate neither queries nor changes the
//! host: the same inputs give the same plan.

#![forbid(unsafe_code)]

mod compile;
mod credentials;
mod facts;
mod in_root;
pub mod known;
mod mount_point;
mod op;
mod origin;
mod plan;
mod problem;
mod scheduling;
mod show;
pub mod spec;
pub mod template;
mod unit;

pub use compile::devices::{DeviceFilter, DeviceRule};
pub use compile::{
    ExecRequest, Limits, OverlayRoot, Request, RootSource, SystemdRequest, compile, compile_exec, compile_hooks,
    compile_resources, compile_schemata, default_cgroup, is_bind, is_overlay_root, knobs_of, limit_name, scope_of,
    unit_description, unit_devices, unit_properties,
};
pub use credentials::Credentials;
pub use facts::{ControllerHome, HostFacts, HostNode, Resctrl};
pub use in_root::InRoot;
pub use minirun_overlay::{LayerStack, Marks};
pub use minirun_seccomp::{ACTIONS, ARCHITECTURES, FLAGS, Filter as SeccompFilter, Listener, OPERATORS};
pub use mount_point::{Attributes, FsOption, MountPoint, PointKind, RootPlace, Source};
pub use op::*;
pub use origin::Origin;
pub use plan::*;
pub use problem::{Problem, Problems};
pub use scheduling::{IoPriority, MemoryPolicy, NumberSet, Scheduler};
pub use show::Line;
pub use spec::Spec;
pub use unit::{Property, UnitPlan, Value};
