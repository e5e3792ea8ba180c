//! Snapshots are there whole or not at all.

use crate::examples::disk;
use headgate_store::snapshot::{newest, write};
use headgate_store::{Crash, Disk};

fn seqs(disk: &dyn Disk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|n| n.starts_with("snapshot-")).collect()
}

#[test]
fn the_newest_two_are_kept() {
    let (_, disk) = disk(1);
    assert_eq!(newest(&*disk).unwrap().snapshot, None);
    for seq in [5, 9, 100] {
        write(&*disk, seq, "1.0.0", &seq.to_le_bytes()).unwrap();
    }
    assert_eq!(seqs(&*disk), [9, 100].map(|n| format!("snapshot-{n:020}.hgs")));
    let found = newest(&*disk).unwrap();
    let snapshot = found.snapshot.unwrap();
    assert_eq!((snapshot.seq, snapshot.engine_version.as_str()), (100, "1.0.0"));
    assert_eq!(snapshot.content, 100u64.to_le_bytes());
    assert!(found.damaged.is_empty());
}

#[test]
fn any_flipped_or_missing_byte_falls_back_to_the_older() {
    let (mem, disk) = disk(1);
    write(&*disk, 5, "1.0.0", b"older").unwrap();
    write(&*disk, 9, "1.0.0", b"newer").unwrap();
    let name = &seqs(&*disk)[1];
    let length = disk.length(name).unwrap();
    for offset in 0..length {
        mem.flip(name, offset, 0x20);
        let found = newest(&*disk).unwrap();
        assert_eq!(found.snapshot.unwrap().seq, 5, "byte {offset}");
        assert_eq!(&found.damaged[0].file, name);
        mem.flip(name, offset, 0x20);
    }
    for cut in (0..length).rev() {
        disk.truncate(name, cut).unwrap();
        assert_eq!(newest(&*disk).unwrap().snapshot.unwrap().seq, 5, "cut at {cut}");
    }
    let told = newest(&*disk).unwrap().damaged[0].to_string();
    insta::assert_snapshot!(told, @"failed to read snapshot `snapshot-00000000000000000009.hgs`: it ends inside its header; an older one or the journal is read instead");
}

#[test]
fn a_crash_or_a_full_disk_leaves_a_whole_one() {
    for seed in 0..200u64 {
        let (mem, disk) = disk(seed);
        write(&*disk, 5, "1.0.0", &[5; 2000]).unwrap();
        mem.set_capacity(Some(2500 + seed * 20));
        let whole = write(&*disk, 9, "1.0.0", &[9; 2000]).is_ok();
        let crash = [Crash::Lose, Crash::Tear, Crash::Reorder][seed as usize % 3];
        mem.crash(crash);
        let found = newest(&*disk).unwrap();
        assert!(found.damaged.is_empty());
        assert_eq!(found.snapshot.unwrap().seq, if whole { 9 } else { 5 });
        mem.set_capacity(None);
        write(&*disk, 11, "1.0.0", &[11; 100]).unwrap();
        assert_eq!(newest(&*disk).unwrap().snapshot.unwrap().seq, 11);
    }
}
