//! The journal is the proof: stepped again it says the same, and a changed byte is found.

use crate::common::*;
use crate::prices::{five_minutes, spike};
use headgate_store::segment::HEADER_BYTES;
use std::path::{Path, PathBuf};

/// A data folder with the journal of a short day in it.
fn recorded(name: &str) -> (Folder, u64) {
    let folder = Folder::new(name);
    let few = SiteText { machines: 12, ..SiteText::default() };
    let site = folder.write("site.toml", few.text());
    let prices = folder.write("lmp.csv", five_minutes(&spike(12)));
    let summary = run_replay(&folder, &site, path(&prices), &[]);
    check_counts(&summary);
    let events = summary["events"].as_u64().unwrap();
    (folder, events)
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(data)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "hgj"))
        .collect();
    all.sort();
    all
}

#[test]
fn a_journal_stepped_again_is_byte_identical() {
    let (folder, count) = recorded("parity");
    let data = folder.data();
    let replayed = run(&["replay", path(&data), "--format", "json"]).ok().json();
    assert_eq!(replayed["identical"], true, "{replayed}");
    assert_eq!(replayed["first_difference"], serde_json::Value::Null);
    assert_eq!(replayed["events"], count);
    assert_eq!(u64::try_from(events(&data).len()).unwrap(), count);
    assert!(replayed["decisions"].as_u64().unwrap() >= 4, "{replayed}");
    assert!(replayed["plans"].as_u64().unwrap() >= 2, "{replayed}");
    let verified = run(&["journal", "verify", "--data", path(&data), "--format", "json"]).ok();
    let verified = verified.json();
    assert_eq!(verified["events"], count, "{verified}");
    assert_eq!(verified["last_seq"], count);
    assert_eq!(verified["outcomes"], replayed["outcomes"], "each outcome was written");
    // One segment by its name is the journal, too.
    let file = &segments(&data)[0];
    assert_eq!(run(&["replay", path(file), "--format", "json"]).ok().json(), replayed);
}

#[test]
fn a_flipped_byte_is_found_and_refused() {
    let (folder, _) = recorded("flip");
    let data = folder.data();
    let file = segments(&data).remove(0);
    let good = std::fs::read(&file).unwrap();
    let mut chance = Chance::new("flipped byte", 11);
    let length = u64::try_from(good.len()).unwrap();
    for round in 0..12 {
        let mut bad = good.clone();
        // The first round flips the header, the others any byte.
        let at = if round == 0 { 20 } else { usize::try_from(chance.below(length)).unwrap() };
        bad[at] ^= 1 << chance.below(8);
        std::fs::write(&file, &bad).unwrap();
        let said = run(&["journal", "verify", "--data", path(&data), "--format", "json"]);
        assert_eq!(said.code, 5, "byte {at}: {}{}", said.out, said.err);
        let found = said.json();
        // A changed last record looks like an unfinished write; all else is damage.
        let text = match found["damage"].as_array().unwrap().first() {
            Some(text) => text.as_str().unwrap().to_owned(),
            None => found["torn"].as_str().unwrap().to_owned(),
        };
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("`{name}`, byte ")), "{text}");
        let place: usize = number_after(&text, "byte ");
        assert!(place <= at, "byte {at} was flipped, {text}");
        assert!(at < HEADER_BYTES || place >= HEADER_BYTES, "byte {at} was flipped, {text}");

        let said = run(&["replay", path(&data), "--format", "json"]);
        let torn = found["damage"].as_array().unwrap().is_empty();
        if torn {
            // What was whole before the unfinished write still says the same.
            assert_eq!(said.json()["identical"], true);
        } else {
            assert_ne!(said.code, 0, "{}", said.out);
            assert!(said.err.contains(name), "{}", said.err);
        }
    }
    std::fs::write(&file, &good).unwrap();
    run(&["journal", "verify", "--data", path(&data)]).ok();
}

fn number_after(text: &str, mark: &str) -> usize {
    let rest = &text[text.find(mark).unwrap() + mark.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}
