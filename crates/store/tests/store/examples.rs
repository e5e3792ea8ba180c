//! Events, disks and journals the tests share.

use headgate_core::event::{Event, FeedId, MeterId, Stamped};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Power, Price};
use headgate_store::{Disk, Journal, MemDisk, Options, Outcome, Payload, read_all};
use std::sync::Arc;

pub const VERSION: &str = "1.2.3";

/// Small segments, so that a test's journal has several.
pub fn options(segment_bytes: u64) -> Options {
    Options { segment_bytes, ..Options::new(VERSION) }
}

pub fn disk(seed: u64) -> (Arc<MemDisk>, Arc<dyn Disk>) {
    let disk = Arc::new(MemDisk::new(seed));
    (Arc::clone(&disk), disk)
}

/// An event whose kind and size follow its place.
pub fn event(seq: u64) -> Stamped {
    let at = Time::from_seconds(1_700_000_000 + i64::try_from(seq).unwrap());
    let event = match seq % 5 {
        0 => Event::Tick,
        1 => Event::Meter { meter: MeterId(0), power: Some(Power(1_000_000)) },
        2 => Event::Prices {
            feed: FeedId(1),
            kind: PriceKind::Dispatch,
            rows: vec![PriceRow {
                interval: Interval::starting(at, Span::minutes(5)),
                price: Price(31_610_000),
                known_at: at,
            }],
        },
        3 => Event::FeedRejected { feed: FeedId(0), error: "x".repeat(seq as usize % 40) },
        _ => Event::ClockStepped { by: Span::seconds(-1) },
    };
    Stamped { seq, at, event }
}

pub fn outcome(cause: u64) -> Outcome {
    Outcome { cause, digest: [7; 16], body: vec![0xAB; cause as usize % 30] }
}

/// Appends `count` events with an outcome after every third one, synced by batches.
pub fn fill(journal: &mut Journal, count: u64, batch: u64) {
    for i in 1..=count {
        let seq = journal.next_seq();
        journal.append(&event(seq), seq.is_multiple_of(7)).unwrap();
        if seq.is_multiple_of(3) {
            journal.append_outcome(&outcome(seq), false).unwrap();
        }
        if i.is_multiple_of(batch) {
            journal.sync().unwrap();
        }
    }
    journal.sync().unwrap();
}

/// What a journal filled that way holds up to an event.
pub fn expected(last: u64) -> Vec<Payload> {
    let mut all = Vec::new();
    for seq in 1..=last {
        all.push(Payload::Event(event(seq)));
        if seq.is_multiple_of(3) {
            all.push(Payload::Outcome(outcome(seq)));
        }
    }
    all
}

pub fn payloads(disk: &Arc<dyn Disk>, from_seq: u64) -> Vec<Payload> {
    let records = read_all(Arc::clone(disk), from_seq).unwrap();
    records.map(|r| r.unwrap().payload).collect()
}

/// Names and lengths of the journal's segments.
pub fn segments(disk: &Arc<dyn Disk>) -> Vec<(String, u64)> {
    let names = disk.list().unwrap().into_iter().filter(|n| n.starts_with("journal-"));
    names.map(|n| (n.clone(), disk.length(&n).unwrap())).collect()
}

/// A copy of a disk that has nothing unsynced.
pub fn copy(disk: &Arc<dyn Disk>) -> (Arc<MemDisk>, Arc<dyn Disk>) {
    let (mem, to) = self::disk(0);
    for name in disk.list().unwrap() {
        let length = disk.length(&name).unwrap() as usize;
        to.create(&name).unwrap();
        to.append(&name, &disk.read(&name, 0, length).unwrap()).unwrap();
        to.sync(&name).unwrap();
    }
    to.sync_dir().unwrap();
    (mem, to)
}
