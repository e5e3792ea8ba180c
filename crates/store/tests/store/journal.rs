//! Appending, rotating, reading back, and what verification finds.

use crate::examples::{
    VERSION, copy, disk, event, expected, fill, options, outcome, payloads, segments,
};
use headgate_store::record::{Defect, FRAME_BYTES};
use headgate_store::segment::{HEADER_BYTES, segment_name};
use headgate_store::{
    Disk, Journal, JournalError, Options, RealDisk, Recovered, read_all, snapshot, verify,
};
use std::sync::Arc;

/// A journal of 200 events over several segments, and its disk.
fn two_hundred() -> Arc<dyn Disk> {
    let (_, disk) = disk(1);
    let (mut journal, _) = Journal::open(Arc::clone(&disk), options(3000)).unwrap();
    fill(&mut journal, 200, 4);
    assert!(segments(&disk).len() >= 4, "{:?}", segments(&disk));
    disk
}

#[test]
fn what_is_appended_is_read_back_and_goes_on() {
    let disk = two_hundred();
    assert_eq!(payloads(&disk, 0), expected(200));
    let (mut journal, found) = Journal::open(Arc::clone(&disk), options(3000)).unwrap();
    let engine_version = Some(VERSION.to_owned());
    let segments = segments(&disk).len();
    assert_eq!(found, Recovered { segments, last_seq: Some(200), engine_version, cut: None });
    fill(&mut journal, 50, 1);
    assert_eq!(payloads(&disk, 0), expected(250));
    let verdict = verify(disk).unwrap();
    assert!(verdict.is_whole(), "{verdict}");
    assert_eq!((verdict.events, verdict.outcomes, verdict.late), (250, 83, 35));
    assert_eq!((verdict.last_seq, verdict.last_link), (Some(250), journal.last_chain()));
}

#[test]
fn reading_begins_at_any_event() {
    let disk = two_hundred();
    let all = expected(200);
    for from in 1..=201 {
        let skipped = expected(from - 1).len();
        assert_eq!(payloads(&disk, from), all[skipped..], "from {from}");
    }
}

#[test]
fn late_is_kept() {
    let disk = two_hundred();
    for record in read_all(disk, 0).unwrap() {
        let record = record.unwrap();
        let late = record.event().is_some_and(|e| e.seq.is_multiple_of(7));
        assert_eq!(record.late, late);
    }
}

#[test]
fn a_place_taken_or_skipped_is_refused() {
    let (_, disk) = disk(1);
    let (mut journal, found) = Journal::open(disk, options(3000)).unwrap();
    assert_eq!(found, Recovered { segments: 0, last_seq: None, engine_version: None, cut: None });
    let refused = |r: Result<(), JournalError>| r.unwrap_err().to_string();
    insta::assert_snapshot!(
        refused(journal.append(&event(2), false)),
        @"failed to append event 2: the next place of the journal is 1"
    );
    insta::assert_snapshot!(
        refused(journal.append_outcome(&outcome(1), false)),
        @"failed to append event 1: the next place of the journal is 1"
    );
    journal.append(&event(1), false).unwrap();
    journal.append_outcome(&outcome(1), true).unwrap();
    assert_eq!(journal.next_seq(), 2);
}

#[test]
fn another_engine_begins_another_segment() {
    let (_, disk) = disk(1);
    let open = |version: &str| Journal::open(Arc::clone(&disk), Options::new(version)).unwrap();
    fill(&mut open("1.0.0").0, 5, 5);
    fill(&mut open("1.0.0").0, 5, 5);
    assert_eq!(segments(&disk).len(), 1);
    let (mut journal, found) = open(&"é".repeat(40));
    assert_eq!(found.engine_version.as_deref(), Some("1.0.0"));
    fill(&mut journal, 5, 5);
    assert_eq!(segments(&disk)[1].0, segment_name(11));
    assert_eq!(open("1.0.0").1.engine_version, Some("é".repeat(35)));
    assert_eq!(payloads(&disk, 0), expected(15));
}

#[test]
fn every_flipped_byte_is_found_and_named() {
    let whole = two_hundred();
    let names = segments(&whole);
    let (last, _) = names.last().unwrap();
    for (name, length) in &names {
        let (mem, disk) = copy(&whole);
        for offset in 0..*length {
            let mask = 1 << (offset % 8);
            mem.flip(name, offset, mask);
            let verdict = verify(Arc::clone(&disk)).unwrap();
            let first = verdict.damage.first().or(verdict.torn.as_ref().map(|c| &c.why));
            let found = first.unwrap_or_else(|| panic!("{name} byte {offset} goes unnoticed"));
            assert_eq!(&found.file, name, "byte {offset}");
            let header = offset < HEADER_BYTES as u64;
            let here = if header { found.offset == 0 } else { found.offset <= offset };
            assert!(here, "{name} byte {offset}: {found}");
            assert!(name == last || verdict.torn.is_none(), "{name} byte {offset}: {verdict}");
            mem.flip(name, offset, mask);
        }
        assert!(verify(disk).unwrap().is_whole());
    }
}

#[test]
fn a_flip_before_a_whole_record_is_never_cut() {
    let whole = two_hundred();
    let (last, length) = segments(&whole).pop().unwrap();
    let (mem, disk) = copy(&whole);
    // The last batch holds the last four events and the outcome of the 198th.
    let tail = length - 250;
    for offset in HEADER_BYTES as u64..tail {
        mem.flip(&last, offset, 0x10);
        match Journal::open(Arc::clone(&disk), options(3000)) {
            Err(JournalError::Damaged(d)) => assert_eq!(d.file, last),
            other => panic!("byte {offset}: {other:?}"),
        }
        mem.flip(&last, offset, 0x10);
    }
    assert_eq!(disk.length(&last).unwrap(), length);
}

#[test]
fn damage_is_told_in_one_sentence() {
    let whole = two_hundred();
    let (mem, disk) = copy(&whole);
    let (name, _) = segments(&disk)[0].clone();
    mem.flip(&name, 500, 1);
    let error = read_all(disk, 0).unwrap().find_map(Result::err).unwrap();
    insta::assert_snapshot!(error, @"failed to read journal: `journal-00000000000000000001.hgj`, byte 451, record 8: the checksum does not match; restore this file from a copy, or move the data folder away to start anew");
}

#[test]
fn a_journal_cut_at_any_byte_keeps_every_whole_record() {
    let whole = two_hundred();
    let (name, length) = segments(&whole).pop().unwrap();
    let records: Vec<_> = read_all(Arc::clone(&whole), 0).unwrap().map(|r| r.unwrap()).collect();
    // Where each record of the last segment ends.
    let mut ends = vec![length];
    for record in records.iter().rev() {
        ends.push(ends.last().unwrap() - record.bytes);
        if *ends.last().unwrap() == HEADER_BYTES as u64 {
            break;
        }
    }
    for at in 0..=length {
        let (_, disk) = copy(&whole);
        disk.truncate(&name, at).unwrap();
        let (mut journal, found) = Journal::open(Arc::clone(&disk), options(3000)).unwrap();
        let lost = ends.iter().filter(|e| **e > at).count().min(ends.len() - 1);
        let kept: Vec<_> =
            records[..records.len() - lost].iter().map(|r| r.payload.clone()).collect();
        assert_eq!(payloads(&disk, 0), kept, "cut at {at}");
        let whole_to = ends.iter().copied().find(|e| *e <= at).unwrap_or(0);
        assert_eq!(found.cut.as_ref().map_or(0, |c| c.bytes), at - whole_to, "cut at {at}");
        assert_eq!(found.cut.is_some(), at != whole_to || at == 0, "cut at {at}");
        fill(&mut journal, 3, 1);
        let verdict = verify(disk).unwrap();
        assert!(verdict.is_whole(), "cut at {at}: {verdict}");
    }
}

#[test]
fn a_missing_or_swapped_segment_is_found() {
    let whole = two_hundred();
    let names: Vec<_> = segments(&whole).into_iter().map(|(n, _)| n).collect();
    let check = |change: &dyn Fn(&dyn Disk), want: &dyn Fn(&Defect) -> bool| {
        let (_, disk) = copy(&whole);
        change(&*disk);
        let verdict = verify(Arc::clone(&disk)).unwrap();
        assert!(verdict.damage.iter().any(|d| want(&d.defect)), "{verdict}");
        let read = read_all(disk, 0).unwrap().find_map(Result::err);
        assert!(matches!(read, Some(JournalError::Damaged(_))), "{read:?}");
    };
    for name in &names[..names.len() - 1] {
        check(&|d| d.remove(name).unwrap(), &|d| matches!(d, Defect::Gap { .. }));
    }
    let swap = |d: &dyn Disk| {
        d.rename(&names[0], "aside").unwrap();
        d.rename(&names[1], &names[0]).unwrap();
        d.rename("aside", &names[1]).unwrap();
    };
    check(&swap, &|d| *d == Defect::Name);
    // A whole segment of another journal, with the right places, in the place of ours.
    let foreign = |d: &dyn Disk| {
        let (_, other) = disk(1);
        let (mut journal, _) = Journal::open(Arc::clone(&other), options(3000)).unwrap();
        journal.append(&event(1), true).unwrap();
        fill(&mut journal, 3, 3);
        fill(&mut journal, 196, 4);
        let (name, length) = segments(&other).into_iter().find(|(n, _)| *n == names[1]).unwrap();
        d.create(&name).unwrap();
        d.append(&name, &other.read(&name, 0, length as usize).unwrap()).unwrap();
    };
    check(&foreign, &|d| *d == Defect::Chain);
}

#[test]
fn a_lost_end_is_found_by_its_snapshot() {
    let disk = two_hundred();
    snapshot::write(&*disk, 200, VERSION, b"state").unwrap();
    assert!(verify(Arc::clone(&disk)).unwrap().is_whole());
    let (name, _) = segments(&disk).pop().unwrap();
    disk.remove(&name).unwrap();
    let verdict = verify(disk).unwrap();
    assert!(matches!(verdict.damage[0].defect, Defect::Behind { snapshot: 200, .. }), "{verdict}");
}

#[test]
fn a_file_that_only_looks_like_a_segment_is_found() {
    let disk = two_hundred();
    // One sorts before the segments and one behind them: neither changes what is said of these.
    disk.create("journal-0.hgj").unwrap();
    disk.create("journal-x.hgj").unwrap();
    let (last, length) = segments(&disk).into_iter().rev().nth(1).unwrap();
    disk.truncate(&last, length - 1).unwrap();
    let verdict = verify(disk).unwrap();
    let defects: Vec<_> = verdict.damage.iter().map(|d| d.defect.clone()).collect();
    assert_eq!(defects, [Defect::Name, Defect::Name], "{verdict}");
    assert_eq!(verdict.torn.map(|c| c.why.file), Some(last));
}

#[test]
fn a_verdict_reads_well() {
    let (mem, disk) = copy(&two_hundred());
    let names = segments(&disk);
    mem.flip(&names[1].0, 300, 4);
    mem.flip(&names[2].0, 3, 4);
    let (last, length) = names.last().unwrap();
    disk.truncate(last, length - 3).unwrap();
    let told = verify(disk).unwrap().to_string().replace("`, byte", "`,\n  byte");
    insta::assert_snapshot!(told, @r"
    113 events and 37 outcomes (16 late) in 5 segments, 14571 bytes
    torn end: 35 bytes of an unfinished write at `journal-00000000000000000177.hgj`,
      byte 1817, record 32: the record needs 38 bytes and the file has 35 more
    damaged: `journal-00000000000000000045.hgj`,
      byte 266, record 4: the checksum does not match
    damaged: `journal-00000000000000000089.hgj`,
      byte 0, record 0: the segment's header is damaged
    DAMAGED
    ");
}

#[test]
fn the_real_disk_keeps_it_too() {
    let folder = std::env::temp_dir().join(format!("headgate-store-{}", std::process::id()));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::create_folder(&folder).unwrap());
    let (mut journal, _) = Journal::open(Arc::clone(&disk), options(3000)).unwrap();
    fill(&mut journal, 200, 4);
    drop(journal);
    let (name, length) = segments(&disk).pop().unwrap();
    disk.truncate(&name, length - 1).unwrap();
    let (mut journal, found) = Journal::open(Arc::clone(&disk), options(3000)).unwrap();
    assert_eq!(found.cut.unwrap().bytes, FRAME_BYTES as u64 - 1 + body_bytes(200));
    fill(&mut journal, 200, 16);
    assert_eq!(payloads(&disk, 0), expected(399));
    assert!(verify(disk).unwrap().is_whole());
    std::fs::remove_dir_all(folder).unwrap();
}

fn body_bytes(seq: u64) -> u64 {
    postcard::to_stdvec(&event(seq)).unwrap().len() as u64
}
