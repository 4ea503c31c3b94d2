//! Processes whose threads are steps, taken one at a time in an order that the seed decides.

use std::cell::Cell;
use std::ffi::OsString;
use std::ptr::NonNull;
use std::rc::Rc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use rivulet_config::{Config, Start};
use rivulet_host::world::{self, Awaits};

use crate::disk;
use crate::invariants::Broken;
use crate::invariants::told::Told;
use crate::machine::{self, Host, Parked, Process, Shared, Suspend};
use crate::memory;
use crate::network::HostId;

const EXECUTOR_STACK: usize = 2 << 20;

/// A step takes less than this.
const STEP_MAX_US: u64 = 80;

/// A thread of a process.
struct Step {
    process: Rc<Process>,
    name: &'static str,
    coroutine: Coroutine<(), Parked, (), DefaultStack>,
    suspend: Rc<Cell<Option<NonNull<Suspend>>>>,
    /// What it said when it was suspended, and what had happened in the process by then.
    parked: Parked,
    seen: u64,
    has_begun: bool,
}

impl Step {
    fn is_due(&self, now_us: u64) -> bool {
        !self.has_begun
            || self.seen != self.process.happened(self.parked.awaits)
            || self.parked.until_us.is_some_and(|until| until <= now_us)
    }
}

/// All machines and what runs on them.
pub struct Schedule {
    pub shared: Rc<Shared>,
    hosts: Vec<Rc<Host>>,
    processes: Vec<Option<Rc<Process>>>,
    /// How the last process of a machine ended that did so by itself.
    pub statuses: Vec<i32>,
    /// Machines without power.
    dark: Vec<bool>,
    /// A process that is stopped does nothing, and nobody is told.
    stopped: Vec<bool>,
    steps: Vec<Step>,
    stacks: Vec<DefaultStack>,
    pub steps_taken: u64,
    /// Steps that had something to do at the last look, by number.
    due: Vec<usize>,
    /// Machines whose servers keep their logs in files, on disks that do not fail: what they tell replicas is on them.
    pub keeps_ids: Vec<bool>,
    told: Told,
    /// The first promise that was broken in a step.
    pub broken: Option<Broken>,
}

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process alone: what it wrote is with the system.
    Process,
    /// The machine's power.
    Power,
}

impl Schedule {
    pub fn new(seed: u64, hosts: usize, shows_logs: bool) -> Schedule {
        let host = |id| {
            Rc::new(Host { id, disk: disk::Handle::default(), power_losses: Cell::new(0), wall_ahead_us: Cell::new(0) })
        };
        Schedule {
            shared: Rc::new(Shared::new(seed, hosts, shows_logs)),
            hosts: (0..hosts).map(host).collect(),
            processes: vec![None; hosts],
            statuses: vec![0; hosts],
            dark: vec![false; hosts],
            stopped: vec![false; hosts],
            steps: Vec::new(),
            stacks: Vec::new(),
            steps_taken: 0,
            due: Vec::new(),
            keeps_ids: vec![false; hosts],
            told: Told::default(),
            broken: None,
        }
    }

    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id]
    }

    pub fn is_up(&self, host: HostId) -> bool {
        self.processes[host].is_some()
    }

    /// Bytes that a machine's process has in use; 0 without one.
    pub fn memory(&self, host: HostId) -> u64 {
        self.processes[host].as_ref().map_or(0, |process| u64::try_from(process.memory.get()).unwrap_or(0))
    }

    pub fn now_us(&self) -> u64 {
        self.shared.now_us.get()
    }

    /// Starts a server or a Sentinel on a machine, with Redis's arguments.
    pub fn start(&mut self, host: HostId, args: &[String]) {
        self.stop(host, Loss::Process);
        let process = Rc::new(Process::new(self.shared.clone(), self.hosts[host].clone()));
        self.processes[host] = Some(process.clone());
        (self.stopped[host], self.dark[host]) = (false, false);
        let args: Vec<OsString> =
            std::iter::once("rivulet-server".into()).chain(args.iter().map(OsString::from)).collect();
        let own = process.clone();
        self.add_step(
            process,
            "executor",
            Box::new(move || {
                let status = match Config::from_args(args) {
                    Ok(Start::Server(startup)) => {
                        // `http-port` is off: nobody in this world speaks HTTP.
                        rivulet_node::start::serve(*startup, |_, _| Err("there is no page here".to_string()))
                    }
                    Ok(Start::Sentinel(startup)) => {
                        rivulet_sentinel_node::serve(*startup, |_, _, _| Err("there is no page here".to_string()))
                    }
                    Ok(_) => 0,
                    Err(error) => panic!("the arguments are right: {error}"),
                };
                own.shared.say(|| format!("{} ended with {status}", own.host.id));
                own.status.set(Some(status));
            }),
        );
    }

    fn add_step(&mut self, process: Rc<Process>, name: &'static str, work: Box<dyn FnOnce()>) {
        let suspend = Rc::new(Cell::new(None));
        let own = suspend.clone();
        let stack = self.stacks.pop().unwrap_or_else(|| DefaultStack::new(EXECUTOR_STACK).expect("memory for a stack"));
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Suspend, ()| {
            own.set(Some(NonNull::from(yielder)));
            machine::set_suspend(own.get());
            work();
        });
        let parked = Parked { awaits: Awaits::Threads, until_us: None };
        self.steps.push(Step { process, name, coroutine, suspend, parked, seen: 0, has_begun: false });
    }

    /// A process ends in the middle of whatever it does.
    pub fn stop(&mut self, host: HostId, loss: Loss) {
        let Some(process) = self.processes[host].take() else { return };
        process.is_dead.set(true);
        if loss == Loss::Power {
            self.dark[host] = true;
            self.shared.network.borrow_mut().vanish(host);
        }
        self.take_down(&process);
        if loss == Loss::Power {
            let mut rng = self.shared.rng.borrow_mut();
            self.hosts[host].disk.lock().lose_power(&mut rng);
            self.hosts[host].power_losses.set(self.hosts[host].power_losses.get() + 1);
        }
    }

    fn take_down(&mut self, process: &Rc<Process>) {
        process.is_dead.set(true);
        let (of_it, rest) = std::mem::take(&mut self.steps).into_iter().partition(|s| Rc::ptr_eq(&s.process, process));
        self.steps = rest;
        let gone: Vec<Step> = of_it;
        world::enter(Some(process.clone()));
        for mut step in gone {
            machine::set_suspend(None);
            if step.has_begun && !step.coroutine.done() {
                step.coroutine.force_unwind();
            }
            if step.coroutine.done() {
                self.stacks.push(step.coroutine.into_stack());
            }
        }
        world::enter(None);
    }

    /// The process does nothing until it goes on, and its connections stay.
    pub fn pause(&mut self, host: HostId, on: bool) {
        self.stopped[host] = on;
    }

    pub fn is_paused(&self, host: HostId) -> bool {
        self.stopped[host]
    }

    /// Takes one step. If nobody has anything to do, time passes until somebody has, or until `until_us`. Answers whether that has come.
    pub fn advance(&mut self, until_us: u64) -> bool {
        let processes = &self.processes;
        let now_us = self.now_us();
        let mut network = self.shared.network.borrow_mut();
        network.advance(now_us, |host| !self.dark.get(host).is_some_and(|dark| *dark));
        for host in std::mem::take(&mut network.touched) {
            if let Some(Some(process)) = processes.get(host) {
                process.arrivals.set(process.arrivals.get() + 1);
            }
        }
        let next_arrival = network.next_us();
        drop(network);
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        due.extend(
            (0..self.steps.len())
                .filter(|&i| self.steps[i].is_due(now_us) && !self.stopped[self.steps[i].process.host.id]),
        );
        let chosen = (!due.is_empty()).then(|| due[self.shared.rng.borrow_mut().usize(..due.len())]);
        self.due = due;
        let Some(chosen) = chosen else {
            let timers =
                self.steps.iter().filter(|s| !self.stopped[s.process.host.id]).filter_map(|s| s.parked.until_us);
            let next = timers.chain(next_arrival).min().unwrap_or(u64::MAX).min(until_us);
            self.shared.now_us.set(next.max(now_us));
            return next >= until_us;
        };
        self.run(chosen);
        self.look_at_what_was_told();
        now_us >= until_us
    }

    fn look_at_what_was_told(&mut self) {
        let all = std::mem::take(&mut self.shared.network.borrow_mut().ids_told);
        let now_us = self.now_us();
        for told in all {
            if self.keeps_ids.get(told.from).is_some_and(|keeps| *keeps) {
                let checked = self.told.check(&told, &self.hosts[told.from].disk.lock(), now_us);
                self.broken = self.broken.take().or(checked.err());
            }
            self.told.note(&told, now_us);
        }
    }

    fn run(&mut self, index: usize) {
        self.steps_taken += 1;
        let step = &mut self.steps[index];
        let process = step.process.clone();
        let cost_us = self.shared.rng.borrow_mut().u64(1..STEP_MAX_US);
        self.shared.now_us.set(self.shared.now_us.get() + cost_us);
        self.shared.note(step.name.as_bytes());
        world::enter(Some(process.clone()));
        machine::set_suspend(step.suspend.get());
        step.has_begun = true;
        process.memory_at_step.set(memory::of_processes());
        let result = step.coroutine.resume(());
        process.memory.set(process.memory.get() + memory::of_processes() - process.memory_at_step.get());
        machine::set_suspend(None);
        world::enter(None);
        match result {
            CoroutineResult::Yield(parked) => {
                step.parked = parked;
                step.seen = process.happened(parked.awaits);
            }
            CoroutineResult::Return(()) => {
                let step = self.steps.swap_remove(index);
                self.stacks.push(step.coroutine.into_stack());
                process.progress.set(process.progress.get() + 1);
            }
        }
        for (name, work) in process.new_threads.take() {
            self.add_step(process.clone(), name, Box::new(work));
        }
        if let Some(status) = process.status.get() {
            self.take_down(&process);
            self.statuses[process.host.id] = status;
            if self.processes[process.host.id].as_ref().is_some_and(|p| Rc::ptr_eq(p, &process)) {
                self.processes[process.host.id] = None;
            }
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        for host in 0..self.hosts.len() {
            self.stop(host, Loss::Process);
        }
    }
}
