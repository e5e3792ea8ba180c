//! Crashes, full disks and failing syncs at any moment, in any order, for many seeds.

use crate::examples::{disk, event, options, outcome, payloads, segments};
use headgate_store::{Crash, Disk, Journal, MemDisk, Payload, verify};
use proptest::prelude::*;
use std::sync::Arc;

/// What a daemon and its disk go through.
#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Sync,
    /// A sync of the journal in which the disk's second, third... sync fails.
    FailingSync(u32),
    Full(u16),
    /// The process ends; the system keeps what it has not written yet.
    Kill,
    /// The power fails.
    Crash(Crash),
    /// The power fails, and the disk once more while the journal is opened.
    FailingOpen(Crash, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let crash = || prop_oneof![Just(Crash::Lose), Just(Crash::Tear), Just(Crash::Reorder)];
    let step = prop_oneof![
        4 => (1..20u8).prop_map(Step::Append),
        4 => Just(Step::Sync),
        2 => (0..4u32).prop_map(Step::FailingSync),
        1 => (0..3000u16).prop_map(Step::Full),
        1 => Just(Step::Kill),
        2 => crash().prop_map(Step::Crash),
        1 => (crash(), 0..3u32).prop_map(|(crash, passing)| Step::FailingOpen(crash, passing)),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Everything handed to the journal, and how much of it was acknowledged.
struct World {
    mem: Arc<MemDisk>,
    disk: Arc<dyn Disk>,
    journal: Option<Journal>,
    written: Vec<Payload>,
    acknowledged: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let (mem, disk) = disk(seed);
        let journal = Journal::open(Arc::clone(&disk), options(2000)).unwrap().0;
        Self { mem, disk, journal: Some(journal), written: Vec::new(), acknowledged: 0 }
    }

    fn journal(&mut self) -> &mut Journal {
        self.journal.as_mut().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(count) => {
                for _ in 0..*count {
                    let seq = self.journal().next_seq();
                    self.journal().append(&event(seq), false).unwrap();
                    self.written.push(Payload::Event(event(seq)));
                    if seq.is_multiple_of(4) {
                        self.journal().append_outcome(&outcome(seq), false).unwrap();
                        self.written.push(Payload::Outcome(outcome(seq)));
                    }
                }
            }
            Step::Sync => self.sync(),
            Step::FailingSync(passing) => {
                self.mem.fail_syncs(*passing, 1);
                self.sync();
                self.mem.fail_syncs(0, 0);
            }
            Step::Full(room) => {
                let used: u64 = segments(&self.disk).iter().map(|(_, n)| n).sum();
                self.mem.set_capacity(Some(used + u64::from(*room)));
                self.sync();
                self.mem.set_capacity(None);
            }
            Step::Kill => self.open(),
            Step::Crash(crash) => self.crash(*crash),
            Step::FailingOpen(crash, passing) => {
                self.journal = None;
                self.mem.crash(*crash);
                self.mem.fail_syncs(*passing, 1);
                // Refused or not: the next try must find all there is.
                let _ = Journal::open(Arc::clone(&self.disk), options(2000));
                self.mem.fail_syncs(0, 0);
                self.open();
            }
        }
    }

    fn sync(&mut self) {
        if self.journal().sync().is_ok() {
            self.acknowledged = self.written.len();
        }
    }

    fn crash(&mut self, crash: Crash) {
        self.journal = None;
        self.mem.crash(crash);
        self.open();
    }

    /// Opens what is on the disk, which has to be a first part of what was written, with all that
    /// was acknowledged. What is found is acknowledged from then on: the engine has read it.
    fn open(&mut self) {
        self.journal = None;
        let (journal, found) = Journal::open(Arc::clone(&self.disk), options(2000)).unwrap();
        let kept = payloads(&self.disk, 0);
        assert!(kept.len() >= self.acknowledged, "lost: {} of {found:?}", kept.len());
        assert_eq!(kept, self.written[..kept.len()], "not what was written");
        self.written.truncate(kept.len());
        self.acknowledged = kept.len();
        self.journal = Some(journal);
    }
}

/// At least 400 cases; the variable `PROPTEST_CASES` asks for more.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.max(400), ..usual }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn nothing_acknowledged_is_lost(seed in any::<u64>(), steps in steps()) {
        let mut world = World::new(seed);
        for step in &steps {
            world.step(step);
        }
        world.sync();
        assert_eq!(payloads(&world.disk, 0), world.written);
        let verdict = verify(Arc::clone(&world.disk)).unwrap();
        assert!(verdict.is_whole(), "{verdict}");
        world.crash(Crash::Lose);
    }
}

#[test]
fn a_lost_sector_in_the_last_batch_is_a_torn_end() {
    let mut torn = 0;
    for seed in 0..200 {
        let mut world = World::new(seed);
        world.step(&Step::Append(10));
        world.step(&Step::Sync);
        world.step(&Step::Append(60));
        // The write goes out and the sync never comes back.
        world.step(&Step::FailingSync(0));
        let acknowledged = world.acknowledged;
        world.crash(Crash::Reorder);
        torn += usize::from(world.written.len() > acknowledged);
    }
    assert!(torn > 20, "only {torn} of 200 crashes kept a part of the last batch");
}

#[test]
fn a_full_disk_costs_nothing_that_was_acknowledged() {
    let mut world = World::new(1);
    world.step(&Step::Append(10));
    world.step(&Step::Sync);
    let used: u64 = segments(&world.disk).iter().map(|(_, n)| n).sum();
    world.mem.set_capacity(Some(used + 50));
    world.step(&Step::Append(10));
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(world.journal().sync().unwrap_err().to_string());
    }
    let want = "failed to append to journal file `journal-00000000000000000001.hgj`";
    assert_eq!(told, [want; 3]);
    world.mem.set_capacity(None);
    world.step(&Step::Append(10));
    world.sync();
    world.crash(Crash::Lose);
    assert_eq!(world.written.len(), 30 + 7);
}

/// Found by the property above: a part of a short write outlived the cut behind it, below the
/// lost sectors of the next write.
#[test]
fn a_short_write_below_a_lost_one_is_a_torn_end() {
    let mut kept = 0;
    for seed in 0..400 {
        let mut world = World::new(8_136_788_053_818_119_572 + seed);
        let room = 129 + u16::try_from(seed % 700).unwrap();
        for step in [Step::Append(20), Step::Full(room), Step::Append(25)] {
            world.step(&step);
        }
        // The sync of the cut fails, or that of the next write.
        world.step(&Step::FailingSync(u32::from(seed % 2 == 1)));
        world.crash(Crash::Reorder);
        kept += usize::from(!world.written.is_empty());
    }
    assert!(kept > 20, "only {kept} of 400 crashes kept a part of what was written");
}

/// The system still knows what a killed process wrote; the disk does not, before the next start
/// has made sure of it.
#[test]
fn what_a_killed_process_left_outlives_the_next_crash() {
    for passing in 0..4 {
        let mut world = World::new(1);
        for step in [Step::Append(10), Step::FailingSync(passing), Step::Kill, Step::Append(10)] {
            world.step(&step);
        }
        let read = world.acknowledged;
        // The new process writes on; the power fails within its first sync.
        world.step(&Step::FailingSync(0));
        world.crash(Crash::Reorder);
        assert!(world.written.len() >= read, "the start had read {read}");
    }
}
