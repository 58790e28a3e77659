//! Prints a plan: one line for each action, with the field that requests it.

mod op;
mod words;

use std::fmt::{self, Write as _};

use crate::compile::limit_name;
use crate::compile::namespaces_name as name_of;
use crate::{
    CgroupPlan, GroupKind, Handle, Hook, Hooks, HostNode, HostOp, IdMaps, Namespaces, NodeKind, Op, Origin, Plan,
    ResctrlPlan,
};
use words::{hook_subject, limit, one_line, show};

/// One line of a printed plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The part of the plan: `cgroup`, `unit`, `resctrl`, `namespace`, `host`, `init` or `hooks`.
    pub part: &'static str,
    /// The action in a word: `mount`, `memory.max`.
    pub verb: String,
    /// The object of the action, and its parameters.
    pub subject: String,
    /// The field that requests it.
    pub origin: Origin,
}

/// A function that receives a line: part, verb, subject, origin.
type Add<'a> = dyn FnMut(&'static str, &str, String, &Origin) + 'a;

impl Plan {
    /// Returns the lines of the plan, in the order of execution.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.each_line(&mut |part, verb, subject, origin| {
            lines.push(Line { part, verb: verb.to_owned(), subject, origin: origin.clone() });
        });
        lines
    }

    fn each_line(&self, add: &mut Add<'_>) {
        if self.namespaces.entered == 0 {
            let subject = if self.cgroup.is_none() { String::new() } else { self.cgroup.path.display().to_string() };
            add("cgroup", if self.cgroup.is_none() { "stay" } else { "make" }, subject, &self.cgroup.origin);
        }
        self.cgroup.lines(add);
        if let Some(groups) = &self.resctrl {
            groups.lines(add);
        }
        self.namespaces.lines(add);
        self.idmaps.iter().for_each(|maps| maps.line(add));
        self.handles.iter().for_each(|handle| handle.line(add));
        for (steps, own) in [(&self.before_birth, true), (&self.host, false)] {
            for step in steps {
                let (verb, subject) = step.op.shown(own);
                add("host", verb, subject, &step.origin);
            }
        }
        for step in &self.init {
            add("init", step.op.verb(), self.subject(&step.op), &step.origin);
        }
        self.hook_lines(add);
    }

    /// Returns the object of an operation, for people.
    pub fn subject(&self, op: &Op) -> String {
        match op {
            Op::Join(i) => self
                .namespaces
                .join
                .get(*i)
                .map_or(String::new(), |joined| format!("{} {}", name_of(joined.kind), joined.path.display())),
            Op::NewTime => self.namespaces.time_offsets.as_deref().map_or_else(String::new, one_line),
            Op::Execute => {
                let args: Vec<String> = self.payload.args.iter().map(|arg| show(arg)).collect();
                args.join(" ")
            }
            Op::RunHook(i) => self.hooks.start_container.get(*i).map_or(String::new(), hook_subject),
            other => other.subject(),
        }
    }

    /// Adds the hooks of the parent, in the order in which they run.
    fn hook_lines(&self, add: &mut Add<'_>) {
        let Hooks { prestart, create_runtime, create_container, poststart, poststop, .. } = &self.hooks;
        let lists: [(&str, &[Hook]); 5] = [
            ("prestart", prestart),
            ("createRuntime", create_runtime),
            ("createContainer", create_container),
            ("poststart", poststart),
            ("poststop", poststop),
        ];
        for (verb, list) in lists {
            list.iter().for_each(|hook| add("hooks", verb, hook_subject(hook), &hook.origin));
        }
    }
}

impl CgroupPlan {
    fn lines(&self, add: &mut Add<'_>) {
        if let Some(unit) = &self.unit {
            add("unit", "start", unit.name.clone(), &self.origin);
            for property in &unit.properties {
                add("unit", &property.name, property.value.to_string(), &property.origin);
            }
        }
        if !self.controllers.is_empty() {
            add("cgroup", "enable", self.controllers.join(" "), &Origin::of("linux.resources"));
        }
        if let Some(leaf) = &self.leaf {
            add("cgroup", "leaf", leaf.name.to_owned(), &leaf.origin);
        }
        for knob in &self.knobs {
            add("cgroup", &knob.file, knob.value.clone(), &knob.origin);
        }
        if let Some(filter) = &self.devices {
            let subject = format!("{} rules, {} instructions", filter.rules.len(), filter.program.len());
            add("cgroup", "devices", subject, &Origin::of("linux.resources.devices"));
        }
        if let Some(owner) = &self.owner {
            add("cgroup", "owner", owner.uid.to_string(), &owner.origin);
        }
    }
}

impl Namespaces {
    fn lines(&self, add: &mut Add<'_>) {
        for bit in (0..64).filter(|bit| self.new & 1 << bit != 0) {
            add("namespace", "new", name_of(1 << bit).to_owned(), &Origin::of("linux.namespaces"));
        }
        for joined in &self.join {
            add("namespace", "join", format!("{} {}", name_of(joined.kind), joined.path.display()), &joined.origin);
        }
        if let Some(offsets) = &self.time_offsets {
            add("namespace", "clocks", one_line(offsets), &Origin::of("linux.timeOffsets"));
        }
    }
}

impl IdMaps {
    fn line(&self, add: &mut Add<'_>) {
        let subject = match &self.namespace {
            Some(path) => path.display().to_string(),
            None => format!("uids {}; gids {}", self.uids.trim_end(), self.gids.trim_end()).replace('\n', ", "),
        };
        add("host", "idmap", subject, &self.origin);
    }
}

impl Handle {
    fn line(&self, add: &mut Add<'_>) {
        if let Some(HostNode { kind, device, mode, uid, gid }) = self.node {
            let letter = if kind == NodeKind::Block { 'b' } else { 'c' };
            let numbers = format!("{}:{}", libc::major(device), libc::minor(device));
            let subject = format!("{} {letter} {numbers} mode {mode:04o} owner {uid}:{gid}", show(&self.path));
            return add("host", "device", subject, &self.origin);
        }
        let idmap = match self.idmap {
            Some((_, true)) => " ridmap",
            Some((_, false)) => " idmap",
            None => "",
        };
        let connected = if self.connected { " connected" } else { "" };
        add("host", "open", format!("{}{idmap}{connected}", show(&self.path)), &self.origin);
    }
}

impl ResctrlPlan {
    fn lines(&self, add: &mut Add<'_>) {
        let verb = match self.kind {
            GroupKind::Own => "make",
            GroupKind::Shared => "make-shared",
            GroupKind::Existing => "use",
        };
        add("resctrl", verb, self.group.display().to_string(), &self.origin);
        for schema in &self.schemata {
            add("resctrl", "schemata", schema.line.escape_debug().to_string(), &schema.origin);
        }
        if let Some(monitoring) = &self.monitoring {
            let origin = Origin::of("linux.intelRdt.enableMonitoring");
            add("resctrl", "monitor", monitoring.display().to_string(), &origin);
        }
    }
}

impl HostOp {
    /// Returns the operation in a word, and its object. `own` is set if the parent applies it to itself.
    fn shown(&self, own: bool) -> (&'static str, String) {
        match self {
            HostOp::WriteProc { file: name, value } | HostOp::MapIds { program: name, value } => {
                (*name, value.trim_end().replace('\n', ", "))
            }
            HostOp::RaiseLimit { resource, hard } => {
                ("raise", format!("{} to {}", limit_name(*resource), limit(*hard)))
            }
            HostOp::JoinResctrl { group, .. } => ("resctrl", group.join("tasks").display().to_string()),
            HostOp::Scheduler(scheduler) => ("scheduler", scheduler.to_string()),
            HostOp::IoPriority(priority) => ("io-priority", priority.to_string()),
            HostOp::NetDevice { name, new_name } => ("net-device", format!("{name} as {new_name}")),
            HostOp::Affinity(cpus) => (if own { "own-affinity" } else { "affinity" }, cpus.to_string()),
        }
    }
}

impl fmt::Display for Namespaces {
    /// Lists the new, joined and entered namespaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |kinds: u64| (0..64).map(|bit| 1 << bit).filter(move |bit| kinds & bit != 0);
        let new = bits(self.new).map(|kind| format!("new {}", name_of(kind)));
        let joined = self.join.iter().map(|joined| format!("{} of {}", name_of(joined.kind), joined.path.display()));
        let entered = bits(self.entered).map(|kind| format!("{} of the container", name_of(kind)));
        f.write_str(&new.chain(joined).chain(entered).collect::<Vec<_>>().join(", "))
    }
}

/// Writes the parts under headings, with numbers for init's steps, and the origin after each line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut part, mut number) = ("", 0);
        let (mut line, mut done) = (String::new(), Ok(()));
        self.each_line(&mut |next, verb, subject, origin| {
            line.clear();
            if next != part {
                part = next;
                line.extend([part, "\n"]);
            }
            let start = if part == "init" {
                number += 1;
                // Writing to a String cannot fail.
                let _infallible = write!(line, "{number:3} ");
                line.len()
            } else {
                line.push_str("    ");
                line.len()
            };
            line.push_str(verb);
            pad(&mut line, start, 18);
            line.extend([" ", &subject]);
            line.truncate(line.trim_end().len().max(start));
            pad(&mut line, start, 76);
            line.extend([" [", origin.as_str(), "]\n"]);
            if done.is_ok() {
                done = f.write_str(&line);
            }
        });
        done?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

/// Fills a line with spaces up to this many characters from `start`.
fn pad(line: &mut String, start: usize, width: usize) {
    let length = line[start..].chars().count();
    line.extend(std::iter::repeat_n(' ', width.saturating_sub(length)));
}
