//! The writer's thread: group commit, a stalled disk, a full one.

use crate::examples::{disk, event, expected, options, outcome, payloads};
use headgate_store::{Disk, Durability, Entry, Journal, MemDisk, Ticket, Writer};
use std::sync::Arc;
use std::time::Duration;

/// Long enough that only a hang runs into it.
const LONG: Duration = Duration::from_secs(60);

fn writer() -> (Arc<MemDisk>, Arc<dyn Disk>, Writer) {
    let (mem, disk) = disk(1);
    let (journal, _) = Journal::open(Arc::clone(&disk), options(1 << 20)).unwrap();
    (mem, disk, Writer::start(journal).unwrap())
}

fn append(writer: &mut Writer, seq: u64) -> Ticket {
    let mut batch = vec![Entry::Event(event(seq), false)];
    if seq.is_multiple_of(3) {
        batch.push(Entry::Outcome(outcome(seq), false));
    }
    writer.append(batch).unwrap()
}

#[test]
fn one_sync_serves_all_that_wait_and_a_waiter_may_give_up() {
    let (mem, disk, mut writer) = writer();
    let first = append(&mut writer, 1);
    assert_eq!(writer.wait(first, LONG), Durability::Durable);
    let before = mem.syncs();
    mem.stall();
    let second = append(&mut writer, 2);
    mem.wait_until_stalled();
    let tickets: Vec<_> = (3..=50).map(|seq| append(&mut writer, seq)).collect();
    let last = *tickets.last().unwrap();
    assert_eq!(writer.wait(second, Duration::from_millis(1)), Durability::TimedOut);
    assert_eq!(writer.wait(first, Duration::ZERO), Durability::Durable);
    assert_eq!(writer.durable().0, 2);
    mem.resume();
    assert_eq!(writer.wait(last, LONG), Durability::Durable);
    assert_eq!(writer.wait(second, Duration::ZERO), Durability::Durable);
    assert_eq!(mem.syncs() - before, 2, "one for the second batch, one for the other 48");
    let link = writer.durable().1;
    assert_eq!(writer.finish().unwrap().last_chain(), link);
    assert_eq!(payloads(&disk, 0), expected(50));
}

#[test]
fn a_full_disk_is_told_and_tried_again() {
    let (mem, disk, mut writer) = writer();
    let first = append(&mut writer, 1);
    assert_eq!(writer.wait(first, LONG), Durability::Durable);
    mem.set_capacity(Some(250));
    let second = append(&mut writer, 2);
    let third = append(&mut writer, 3);
    let Durability::Failed(why) = writer.wait(third, LONG) else { panic!("it was full") };
    insta::assert_snapshot!(why, @"failed to append to journal file `journal-00000000000000000001.hgj`: no storage space");
    mem.set_capacity(None);
    let fourth = append(&mut writer, 4);
    // The verdict of an earlier try may still stand for a moment: only the last state counts.
    while writer.wait(fourth, LONG) != Durability::Durable {}
    assert_eq!(writer.wait(second, Duration::ZERO), Durability::Durable);
    drop(writer);
    assert_eq!(payloads(&disk, 0), expected(4));
}

#[test]
fn a_gap_ends_it_and_keeps_what_came_before() {
    let (_, disk, mut writer) = writer();
    let good = append(&mut writer, 1);
    let bad = append(&mut writer, 3);
    let Durability::Failed(why) = writer.wait(bad, LONG) else { panic!("3 does not follow 1") };
    insta::assert_snapshot!(why, @"failed to append event 3: the next place of the journal is 2");
    assert_eq!(writer.wait(good, LONG), Durability::Durable);
    let after = append(&mut writer, 2);
    assert!(matches!(writer.wait(after, LONG), Durability::Failed(_)));
    assert!(writer.finish().is_err());
    assert_eq!(payloads(&disk, 0), expected(1));
}

#[test]
fn a_queue_that_is_full_gives_the_batch_back() {
    let (mem, disk, mut writer) = writer();
    mem.stall();
    append(&mut writer, 1);
    mem.wait_until_stalled();
    let mut seq = 2;
    let back = loop {
        match writer.append(vec![Entry::Event(event(seq), false)]) {
            Ok(_) => seq += 1,
            Err(full) => break full,
        }
    };
    assert_eq!(back.0, vec![Entry::Event(event(seq), false)]);
    mem.resume();
    let journal = writer.finish().unwrap();
    assert_eq!(journal.next_seq(), seq);
    assert_eq!(journal.waiting_bytes(), 0);
    assert_eq!(payloads(&disk, 0).len() as u64, seq - 1);
}
