//! Init: one loop over the steps of the plan, and one short function for each kind of step.
//!
//! From `clone3` to `execve` nothing here asks for memory, takes a lock or formats a text; a process that tried would end
//! with a message (see [`minirun_sys::forbid_allocation`]).

mod copy_up;
mod hook;
mod mounts;
mod nodes;
mod overlay;
mod parent;
mod path;
mod program;
mod root;
mod seccomp;

mod terminal;
mod user;
mod verify;
mod views;
mod way;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use minirun_plan::{Op, Plan};
use minirun_sys as sys;
use minirun_sys::{Child, Standard};

use crate::child::{arm_death_signal, make_time_namespace, make_unreadable, open_clocks, set_propagation};
use crate::gate::Gate;
use crate::opened::Opened;
use crate::wire::{Call, Detail, Fault, GO, In, Kind, Record, await_word};

/// Stands for what init does before the first step of the plan.
pub(crate) const NO_STEP: usize = u32::MAX as usize;

/// Init while it works.
pub(crate) struct Executor<'a> {
    child: &'a mut Child,
    plan: &'a Plan,
    opened: &'a mut Opened,
    channel: BorrowedFd<'a>,
    gate: Gate<'a>,
    /// The connection of `start`, which is told of a failure.
    starter: Option<OwnedFd>,
    /// The root of the container's file system, once it is mounted.
    root: Option<OwnedFd>,
    overlay: overlay::Directories,
    masks: views::Masks,
    /// Which candidate is the program.
    program: usize,
    /// The working directory did not let root in.
    cwd_denied: bool,
    /// Whether the word to start has come.
    started: bool,
    /// Whether the parent is to hear of each step.
    watched: bool,
    /// Whether the actions of signals are those that the program expects.
    actions_reset: bool,
    /// Whether signals are deliverable, as the program expects.
    signals_unblocked: bool,
    /// Whether a seccomp filter applies to init's system calls.
    filtered: bool,
    /// Which option of the step is at fault, if one is.
    option: Option<usize>,
    /// Sets the clocks of a new time namespace.
    clocks: Option<OwnedFd>,
    /// What the kernel says about the failure at hand.
    detail: Detail,
}

/// The life of init. It ends in the program, or in `_exit` after a message.
pub(crate) fn init(child: &mut Child, plan: &Plan, opened: &mut Opened, channel: BorrowedFd<'_>, gate: Gate<'_>) -> ! {
    sys::forbid_allocation();
    let watched = opened.watched;
    let mut executor = Executor {
        child,
        plan,
        opened,
        channel,
        gate,
        starter: None,
        root: None,
        overlay: overlay::Directories::new(),
        masks: views::Masks::default(),
        program: 0,
        cwd_denied: false,
        started: false,
        watched,
        actions_reset: false,
        signals_unblocked: false,
        filtered: false,
        option: None,
        clocks: None,
        detail: Detail::new(),
    };
    let (step, fault) = match executor.begin() {
        Err(fault) => (NO_STEP, fault),
        Ok(()) => executor.run_steps(),
    };
    executor.report(step, fault);
    sys::exit(1)
}

impl<'a> Executor<'a> {
    /// What comes before the plan: dying with the parent, and its word to go on.
    fn begin(&mut self) -> Result<(), Fault> {
        self.child.abandon(&self.opened.not_inits);
        // Others will be able to read this process's memory, and the runtime's environment is not for them.
        self.child.wipe_environment();
        arm_death_signal()?;
        sys::set_name(c"minirun:[init]").in_call(Call::Prctl)?;
        sys::setsid().in_call(Call::Setsid)?;
        // A parent that has to wait for this is told; others would be woken for nothing.
        let told =
            if self.plan.namespaces.entered_by_init() { Record::of(Kind::Hello).send(self.channel) } else { Ok(()) };
        // accepts: any error; if its parent has ended, so does init.
        if told.is_err() || !await_word(self.channel, GO) {
            sys::exit(1);
        }
        // Its parent may have ended before the death signal was set.
        if sys::has_hung_up(self.channel).in_call(Call::Poll)? {
            sys::exit(1);
        }
        // An ordinary user can open it only while /proc/PID belongs to that user.
        if self.plan.init.iter().any(|step| step.op == Op::NewTime) {
            self.clocks = open_clocks(self.plan)?;
        }
        // Not before the parent has written the id maps: /proc/PID would be root's alone.
        make_unreadable()?;
        // Modes are given as they are meant.
        user::set_umask(0)
    }

    /// The container is born here.
    fn run_steps(&mut self) -> (usize, Fault) {
        let plan = self.plan;
        let mut former = (0, 0);
        for (number, step) in plan.init.iter().enumerate() {
            self.announce(number, former);
            // A filter is for the program: it may not even let init say how long the rest took.
            self.watched &= !matches!(step.op, Op::Seccomp { .. });
            let began = self.now();
            if let Err(fault) = self.step(&step.op) {
                return (number, fault);
            }
            former = (began, self.now());
        }
        (plan.init.len(), Fault::check("the plan does not end in a program"))
    }

    /// Tells a parent that watches which step begins, and how long the one before took.
    fn announce(&mut self, step: usize, former: (u64, u64)) {
        if self.watched {
            let mut record = Record::of(Kind::Step);
            (record.step, record.former) = (step as u32, former);
            // Once a created container is left to itself nobody watches any more.
            // accepts: any error; the steps are then not shown.
            self.watched = record.send(self.channel).is_ok();
        }
    }

    fn now(&self) -> u64 {
        if self.watched { sys::now() } else { 0 }
    }

    fn step(&mut self, op: &Op) -> Result<(), Fault> {
        match op {
            Op::Join(i) => self.join(*i),
            Op::EnterContainer(kinds) => self.enter_container(*kinds),
            Op::EnterPidNamespace { terminal } => enter_pid_namespace(self.child, *terminal),
            Op::LabelQueues(label) => self.label_queues(label),
            Op::NewTime => self.new_time(),
            Op::BecomeRoot { uid, gid } => user::become_root(*uid, *gid),
            Op::SessionKeyring(name) => user::session_keyring(name),
            Op::Hostname(name) => sys::sethostname(name).in_call(Call::Sethostname),
            Op::Domainname(name) => sys::setdomainname(name).in_call(Call::Setdomainname),
            Op::LsmAttribute { file, value } => program::lsm_attribute(file, value),
            Op::Sysctl { path, value } => program::sysctl(path, value),
            Op::LoopbackUp => sys::bring_up(c"lo").in_call(Call::Ioctl),
            Op::Propagation(flags) => set_propagation(*flags),
            Op::PrivateParent(path) => root::make_parent_private(path),
            Op::BindRoot(source, place) => self.bind_root(source, place),
            Op::OverlayStage { place, size } => self.overlay_stage(place, size),
            Op::OverlayLower(path) => self.overlay_lower(path),
            Op::OverlayUpper(path) => self.overlay_upper(path),
            Op::OverlayWork(path) => self.overlay_work(path),
            Op::OverlayRoot { place, options, attributes } => self.overlay_root(place, options, attributes),
            Op::Mount { filesystem, source, options, inherit_mode, copy_up, pid_namespace, point } => {
                let modes = mounts::TmpfsModes { inherit: *inherit_mode, copy_up: *copy_up };
                self.mount((filesystem, *pid_namespace), source, options, modes, point)
            }
            Op::ClassicMount { filesystem, source, flags, data, point } => {
                self.classic_mount(filesystem, source, *flags, data, point)
            }
            Op::Bind { source, recursive, idmap, idmap_recursive, point } => {
                self.bind(source, *recursive, idmap.map(|i| (i, *idmap_recursive)), point)
            }
            Op::MountCgroup { host, point } => self.mount_cgroup(host, point),
            Op::Remount { options, bind, point } => self.remount(options, *bind, point),
            Op::Device { path, kind, device, mode, uid, gid } => {
                self.device(path, *kind, nodes::Node { device: *device, mode: *mode, uid: *uid, gid: *gid })
            }
            Op::BindDevice { source, path, kind, device } => self.bind_device(source, path, *kind, *device),
            Op::Symlink { path, target, replace } => self.symlink(path, target, *replace),
            Op::AwaitHooks { readable } => self.await_hooks(*readable),
            Op::RunHook(i) => self.run_hook(*i),
            Op::PivotRoot => self.pivot_root(),
            Op::TakeAway(view) => self.take_away(view),
            Op::ChangeRoot { elsewhere } => self.change_root(*elsewhere),
            Op::Chroot(path) => self.chroot(path),
            Op::Terminal { size, multiplexers, console, controls, uid } => {
                self.terminal(*size, multiplexers, console.as_ref(), *controls, *uid)
            }
            Op::MaskedPath { path, label, number } => self.mask(path, label.as_deref(), *number),
            Op::ReadonlyPath { path, number } => self.make_read_only(path, *number),
            Op::VerifyMount { path, number } => self.verify_mount(path, *number),
            Op::RootPropagation(flags) => set_propagation(*flags),
            Op::ReadonlyRoot => self.make_root_read_only(),
            Op::Limit { resource, soft, hard } => {
                sys::prlimit(0, *resource, Some((*soft, *hard))).map(drop).in_call(Call::Setrlimit)
            }
            Op::MakeDirectory(path) => self.make_directory(path).map(drop),
            Op::EnterDirectory(path) => self.enter_directory(path),
            Op::EnterDirectoryAsUser(path) => self.enter_directory_as_user(path),
            Op::MemoryPolicy(policy) => {
                sys::set_mempolicy(policy.mode, policy.nodes.words()).in_call(Call::SetMempolicy)
            }
            Op::Personality(domain) => sys::personality(*domain).in_call(Call::Personality),
            Op::Umask(mask) => user::set_umask(*mask),
            Op::FindHome(uid) => self.find_home(*uid),
            Op::DropBounding(mask) => user::drop_bounding(*mask, &mut self.detail),
            Op::Groups(groups) => sys::setgroups(groups).in_call(Call::Setgroups),
            Op::User { uid, gid } => user::change_user(*uid, *gid),
            Op::Capabilities { effective, permitted, inheritable, ambient } => {
                user::set_capabilities(*effective, *permitted, *inheritable, *ambient)
            }
            Op::NoNewPrivileges => sys::set_no_new_privs().in_call(Call::Prctl),
            Op::VerifyCredentials(expected) => verify::verify_credentials(expected, &mut self.detail),
            Op::FindProgram(candidates) => self.find_program(candidates),
            Op::AwaitStart => self.await_start(),
            Op::CloseDescriptors(from) => self.close_descriptors(*from as RawFd),
            Op::OwnStreams(uid) => user::own_streams(*uid),
            Op::Seccomp { filter, privileges, after } => self.load_filter(filter, *privileges, *after),
            Op::Execute => self.execute(),
        }
    }

    fn join(&mut self, i: usize) -> Result<(), Fault> {
        let kind = self.plan.namespaces.join[i].kind as libc::c_int;
        sys::setns(self.opened.namespaces[i].as_fd(), kind).in_call(Call::Setns)
    }

    /// Linux moves a process to its children's time namespace at execve only since 6.2.
    fn new_time(&mut self) -> Result<(), Fault> {
        make_time_namespace(self.plan, self.clocks.take())?;
        let own = sys::open(c"/proc/self/ns/time_for_children", libc::O_RDONLY).in_call(Call::Open)?;
        sys::setns(own.as_fd(), libc::CLONE_NEWTIME).in_call(Call::Setns)
    }

    /// All namespaces at once, so that the kernel checks each against the right user namespace (setns(2), Linux 5.8). The
    /// root is then that of the mount namespace: a root that the container's init has given itself since is its own affair.
    fn enter_container(&mut self, kinds: u64) -> Result<(), Fault> {
        let Some(container) = &self.opened.container else {
            return Err(Fault::check("there is no container to enter"));
        };
        sys::setns(container.init.as_fd(), kinds as libc::c_int).in_call(Call::Setns)?;
        if let Some(root) = &container.root {
            sys::fchdir(root.as_fd()).in_call(Call::Fchdir)?;
            sys::chroot(c".").in_call(Call::Chroot)?;
        }
        let root = sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)?;
        self.root = Some(root);
        Ok(())
    }

    /// Closes everything of the host, now and not only at execve: until then a path of the container could lead through
    /// /proc/self/fd (CVE-2024-21626), for the program, its interpreter, or a hook.
    fn close_descriptors(&mut self, from: RawFd) -> Result<(), Fault> {
        if let Some(maker) = self.opened.procfs.take() {
            maker.end()?;
        }
        let gate = match self.gate {
            Gate::Listener(gate) => Some(gate),
            Gate::Parent => None,
        };
        let state = self.opened.state.as_ref().map(AsFd::as_fd);
        let kept = [Some(self.channel), gate, state, self.root.as_ref().map(AsFd::as_fd)];
        self.child.close_all_but(from, kept).in_call(Call::CloseRange)?;
        // What is preserved was the caller's, and stays open whatever the caller has set.
        for fd in 3..from {
            sys::keep_on_exec(fd).in_call(Call::CloseRange)?;
        }
        Ok(())
    }

    /// The root's descriptor. Steps inside the root come after the one that mounts it; a plan with another order is a bug.
    fn root(&self) -> Result<BorrowedFd<'_>, Fault> {
        self.root.as_ref().map(|root| root.as_fd()).ok_or(Fault::check("no root file system is mounted"))
    }
}

/// Goes on as a sibling in the pid namespace that children are born in. The memory is copied, not shared: those who write to
/// the new process's must not reach this one, which is still outside.
fn enter_pid_namespace(child: &mut Child, terminal: bool) -> Result<(), Fault> {
    // Not clone3, whose flags a filter cannot see, so that profiles refuse it.
    child.become_plain_sibling().in_call(Call::ClonePlain)?;
    arm_death_signal()?;
    sys::setsid().in_call(Call::Setsid)?;
    if terminal {
        sys::control_terminal(Standard::Input.fd()).in_call(Call::Ioctl)?;
    }
    Ok(())
}
