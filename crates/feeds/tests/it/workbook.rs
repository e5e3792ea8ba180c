//! Workbooks as ERCOT posts them and as people save them again, and the zips they come in.

use crate::common::{pack_zip, parse, show_all};
use headgate_feeds::{FeedError, NoteKind, Parsed};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use std::io::Read;

/// A cell: what stands in it, as a program would write it.
enum Cell {
    Text(&'static str),
    Number(f64),
    /// A date with its time; no time of day where all three are zero.
    Date(u16, u8, u8, u16, u8),
    Time(u16, u8),
    Blank,
}
use Cell::{Blank, Date, Number, Text, Time};

const MONTH: [Cell; 7] = [
    Text("Delivery Date"),
    Text("Delivery Hour"),
    Text("Delivery Interval"),
    Text("Repeated Hour Flag"),
    Text("Settlement Point Name"),
    Text("Settlement Point Type"),
    Text("Settlement Point Price"),
];

fn book(sheets: &[(&str, &[&[Cell]])]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let date = Format::new().set_num_format("mm/dd/yyyy");
    let moment = Format::new().set_num_format("mm/dd/yyyy hh:mm");
    let clock = Format::new().set_num_format("hh:mm");
    for (name, rows) in sheets {
        let sheet = workbook.add_worksheet().set_name(*name).unwrap();
        for (row, cells) in rows.iter().enumerate() {
            let row = u32::try_from(row).unwrap();
            for (column, cell) in cells.iter().enumerate() {
                let column = u16::try_from(column).unwrap();
                match cell {
                    Blank => continue,
                    Text(text) => sheet.write_string(row, column, *text).unwrap(),
                    Number(n) => sheet.write_number(row, column, *n).unwrap(),
                    Date(y, m, d, 0, 0) => {
                        let at = ExcelDateTime::from_ymd(*y, *m, *d).unwrap();
                        sheet.write_datetime_with_format(row, column, at, &date).unwrap()
                    }
                    Date(y, m, d, hour, minute) => {
                        let at = ExcelDateTime::from_ymd(*y, *m, *d).unwrap();
                        let at = at.and_hms(*hour, *minute, 0).unwrap();
                        sheet.write_datetime_with_format(row, column, at, &moment).unwrap()
                    }
                    Time(hour, minute) => {
                        let at = ExcelDateTime::from_hms(*hour, *minute, 0).unwrap();
                        sheet.write_datetime_with_format(row, column, at, &clock).unwrap()
                    }
                };
            }
        }
    }
    workbook.save_to_buffer().unwrap()
}

fn check(sheets: &[(&str, &[&[Cell]])]) -> String {
    show_all(&parse("ercot", &book(sheets)))
}

#[test]
fn a_workbook_is_its_sheets_and_a_month_to_come_is_empty() {
    let told = check(&[
        (
            "Dec_1",
            &[
                &MONTH,
                &[
                    Text("12/31/2023"),
                    Number(24.0),
                    Number(4.0),
                    Text("N"),
                    Text("LZ_WEST"),
                    Text("LZ"),
                    Number(25.08),
                ],
                &[
                    Text("12/31/2023"),
                    Number(24.0),
                    Number(4.0),
                    Text("N"),
                    Text("LZ_WEST"),
                    Text("LZEW"),
                    Number(25.10),
                ],
            ],
        ),
        (
            "Jan",
            &[
                &MONTH,
                // Saved again by hand: a real date, numbers as text, a row between without cells.
                &[],
                &[
                    Date(2024, 1, 1, 0, 0),
                    Text("01"),
                    Text("1"),
                    Text("N"),
                    Text("LZ_WEST"),
                    Text("LZ"),
                    Text(" -1.50"),
                ],
            ],
        ),
        ("Feb", &[]),
        ("Mar", &[&MONTH]),
    ]);
    insta::assert_snapshot!(told, @"
    ercot_np6_785
    LZ_WEST (LZ) settlement
      2024-01-01T05:45:00Z +15 min 25.08/MWh known 2024-01-01T06:02:00Z
      2024-01-01T06:00:00Z +15 min -1.50/MWh known 2024-01-01T06:17:00Z
    LZ_WEST (LZEW) settlement
      2024-01-01T05:45:00Z +15 min 25.10/MWh known 2024-01-01T06:02:00Z
    ");
}

const DAM: [Cell; 5] = [
    Text("Delivery Date"),
    Text("Hour Ending"),
    Text("Repeated Hour Flag"),
    Text("Settlement Point"),
    Text("Settlement Point Price"),
];

#[test]
fn hours_are_texts_numbers_or_times_and_dates_are_real_or_not() {
    let told = check(&[(
        "Jun",
        &[
            &DAM,
            &[Text("06/01/2024"), Text("01:00"), Text("N"), Text("HB_WEST"), Number(20.5)],
            &[Date(2024, 6, 1, 0, 0), Number(2.0), Text("N"), Text("HB_WEST"), Number(21.0)],
            &[Date(2024, 6, 1, 0, 0), Time(3, 0), Text("N"), Text("HB_WEST"), Number(-22.25)],
            &[Text("06/01/2024"), Time(24, 0), Text("N"), Text("HB_WEST"), Number(43.0)],
        ],
    )]);
    insta::assert_snapshot!(told, @"
    ercot_np4_180
    HB_WEST day_ahead
      2024-06-01T05:00:00Z +60 min 20.50/MWh known 2024-05-31T18:30:00Z
      2024-06-01T06:00:00Z +60 min 21.00/MWh known 2024-05-31T18:30:00Z
      2024-06-01T07:00:00Z +60 min -22.25/MWh known 2024-05-31T18:30:00Z
      2024-06-02T04:00:00Z +60 min 43.00/MWh known 2024-05-31T18:30:00Z
    note: x.csv: intervals missing: 20; gaps: 1, the longest [2024-06-01T08:00:00Z, 2024-06-02T04:00:00Z)
    ");
}

#[test]
fn a_bad_cell_is_told_by_sheet_row_and_column() {
    let row = |price| [Date(2024, 6, 1, 0, 0), Number(2.0), Text("N"), Text("HB_WEST"), price];
    let refused = |cells: [Cell; 5]| check(&[("Jun", &[&DAM, &row(Number(1.0)), &[], &cells])]);
    insta::assert_snapshot!(refused(row(Text("#N/A"))), @"failed to read x.csv:Jun line 4, column Settlement Point Price: `#N/A` is not a number; a missing price is not zero: leave the row out");
    insta::assert_snapshot!(refused(row(Blank)), @"failed to read x.csv:Jun line 4, column Settlement Point Price: an empty field where a number is expected; a missing price is not zero: leave the row out");
    let mut early = row(Number(1.0));
    early[1] = Number(2.5);
    insta::assert_snapshot!(refused(early), @"failed to read x.csv:Jun line 4, column Hour Ending: `2.5` is not an hour ending from 1 to 24; fetch the file again, or leave the row out");
}

#[test]
fn a_title_and_a_sheet_of_remarks_do_no_harm() {
    let header: [Cell; 6] = [
        Text("Delivery Date"),
        Text("Delivery Hour"),
        Text("Delivery Interval"),
        Text("AS Type"),
        Text("MCPC"),
        Text("Repeated Hour Flag"),
    ];
    let row: [Cell; 6] =
        [Date(2026, 7, 30, 0, 0), Number(1.0), Number(1.0), Text("REGUP"), Number(0.29), Text("N")];
    let told = check(&[
        ("Report Info", &[&[Text("Historical RTM Clearing Prices, all of them")]]),
        ("Jul", &[&[Text("Historical RTM Clearing Prices - Jul 2026")], &header, &row]),
    ]);
    insta::assert_snapshot!(told, @"
    ercot_np6_331
    REGUP (AS) capacity_settlement
      2026-07-30T05:00:00Z +15 min 0.29/MWh known 2026-07-30T05:17:00Z
    note: x.csv: passed over, because they hold no data known: `x.csv:Report Info`
    ");
    // Remarks alone are no data, and a month with a broken header is not passed over.
    insta::assert_snapshot!(check(&[("Report Info", &[&[Text("Nothing here")]])]), @"failed to read x.csv:Report Info line 1: the header `Nothing here` is of no known kind; give one of KINDS");
    let mut broken = DAM;
    broken[4] = Text("Price");
    let rows: Vec<[Cell; 5]> = (0..101)
        .map(|_| [Text("06/01/2024"), Text("01:00"), Text("N"), Text("HB_WEST"), Number(20.5)])
        .collect();
    let mut sheet: Vec<&[Cell]> = vec![&broken];
    sheet.extend(rows.iter().map(|r| r.as_slice()));
    let good: [&[Cell]; 2] = [&DAM, &rows[0]];
    insta::assert_snapshot!(check(&[("Jun", &good), ("Jul", &sheet)]), @"failed to read x.csv:Jul line 1: a file of kind ercot_np4_190 is recognised, but the column SettlementPointPrice is missing; fetch the file again, or put its header right");
}

#[test]
fn loads_in_a_workbook_end_their_hours() {
    let header = [Text("Hour Ending"), Text("COAST"), Text("ERCOT")];
    let row = |at, load| [at, Number(load), Number(40_000.0)];
    let told = check(&[(
        "Sheet1",
        &[
            &header,
            &row(Text("11/05/2023 02:00"), 8_514.637_876),
            &row(Text("11/05/2023 02:00 DST"), 8000.5),
            &row(Date(2023, 11, 5, 3, 0), 7000.0),
            &row(Date(2023, 11, 6, 0, 0), 6000.0),
        ],
    )]);
    insta::assert_snapshot!(told, @"
    ercot_native_load
    COAST (LOAD)
      2023-11-05T06:00:00Z +60 min 8514637876 W known 2023-11-06T12:00:00Z
      2023-11-05T07:00:00Z +60 min 8000500000 W known 2023-11-06T12:00:00Z
      2023-11-05T08:00:00Z +60 min 7000000000 W known 2023-11-06T12:00:00Z
      2023-11-06T05:00:00Z +60 min 6000000000 W known 2023-11-06T12:00:00Z
    ERCOT (LOAD)
      2023-11-05T06:00:00Z +60 min 40000000000 W known 2023-11-06T12:00:00Z
      2023-11-05T07:00:00Z +60 min 40000000000 W known 2023-11-06T12:00:00Z
      2023-11-05T08:00:00Z +60 min 40000000000 W known 2023-11-06T12:00:00Z
      2023-11-06T05:00:00Z +60 min 40000000000 W known 2023-11-06T12:00:00Z
    note: x.csv: intervals missing: 40; gaps: 2, the longest [2023-11-05T09:00:00Z, 2023-11-06T05:00:00Z)
    ");
}

fn dam_book() -> Vec<u8> {
    let row = [Date(2024, 6, 1, 0, 0), Number(2.0), Text("N"), Text("HB_WEST"), Number(21.0)];
    book(&[("Jun", &[&DAM, &row])])
}

fn series_of(parsed: Result<Parsed, FeedError>) -> Parsed {
    parsed.unwrap()
}

#[test]
fn a_workbook_comes_in_a_zip_and_in_a_zip_of_zips() {
    let alone = series_of(parse("ercot", &dam_book()));
    let zip = pack_zip(&[("rpt.00013060.DAMLZHBSPP_2024.xlsx", &dam_book())]);
    assert_eq!(series_of(parse("ercot", &zip)).series, alone.series);
    let outer = pack_zip(&[("a.zip", &zip)]);
    assert_eq!(series_of(parse("ercot", &outer)).series, alone.series);
    let mut cut = dam_book();
    cut.truncate(cut.len() / 2);
    assert!(parse("ercot", &cut).is_err());
    let old = [&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1][..], &[0; 600]].concat();
    insta::assert_snapshot!(show_all(&parse("ercot", &old)), @"failed to read x.csv: it is a workbook of the format before 2007; save it as .xlsx or CSV");
}

/// A workbook with some bytes of one of its parts written over, and packed again.
fn spoilt(book: &[u8], part: usize, spots: &[(usize, u8)]) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(book)).unwrap();
    let count = zip.len();
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    for index in 0..count {
        let mut entry = zip.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if index == part % count {
            let length = bytes.len();
            for (at, byte) in spots {
                bytes[at % length] = *byte;
            }
        }
        parts.push((String::from_utf8_lossy(entry.name_raw()).into_owned(), bytes));
    }
    let files: Vec<(&str, &[u8])> = parts.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
    pack_zip(&files)
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_reader_of_workbooks(
        part in 0usize..20,
        spots in proptest::collection::vec((0usize..100_000, 0u8..=255), 1..12),
    ) {
        let spoilt = spoilt(&dam_book(), part, &spots);
        // Read or refused, but never worse; what a cell says may have changed.
        if let Ok(parsed) = parse("ercot", &spoilt) {
            assert!(parsed.series.iter().all(|s| !s.rows.is_empty()));
        }
    }
}

/// A zip with its directory made unusable: each of its entries points beyond the end.
fn without_directory(mut zip: Vec<u8>) -> Vec<u8> {
    let entry = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let end = zip.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    zip[entry + 4..end].fill(0xff);
    zip
}

#[test]
fn a_zip_with_a_damaged_directory_is_read_without_it() {
    let run = |minute: u32, price: u32| {
        format!(
            "SCEDTimestamp,RepeatedHourFlag,SettlementPoint,LMP\n\
             04/10/2025 18:{minute}:11,N,HB_WEST,{price}\n"
        )
    };
    let (first, second) = (run(20, 40), run(25, 41));
    let inner = pack_zip(&[("b.csv", second.as_bytes()), ("b_xml.xml", b"<xml/>")]);
    let whole = pack_zip(&[("a.csv", first.as_bytes()), ("b.zip", &inner)]);
    let good = parse("ercot", &whole).unwrap();
    assert_eq!(good.series[0].rows.len(), 2);
    let damaged = without_directory(whole.clone());
    let salvaged = parse("ercot", &damaged).unwrap();
    assert_eq!(salvaged.series, good.series);
    insta::assert_snapshot!(salvaged.notes[0].text, @"x.csv: the zip's directory is damaged; its files were whole and were read without it: 2");
    assert_eq!(salvaged.notes[0].kind, NoteKind::Salvaged);
    // Cut within its files, or with a flipped bit in one, it is refused all the same.
    assert!(parse("ercot", &damaged[..whole.len() / 3]).is_err());
    for at in 40..damaged.windows(4).position(|w| w == b"PK\x01\x02").unwrap() {
        let mut flipped = damaged.clone();
        flipped[at] ^= 0x10;
        if let Ok(parsed) = parse("ercot", &flipped) {
            assert_eq!(parsed.series, good.series, "a flipped bit at {at} changed a price");
        }
    }
}

#[test]
fn a_zip_that_tells_lengths_after_its_files_is_read_without_its_directory() {
    use std::io::Write;
    let text = "SCEDTimestamp,RepeatedHourFlag,SettlementPoint,LMP\n\
                04/10/2025 18:20:11,N,HB_WEST,40\n";
    let mut out = zip::ZipWriter::new_stream(Vec::new());
    out.start_file("a.csv", zip::write::SimpleFileOptions::default()).unwrap();
    out.write_all(text.as_bytes()).unwrap();
    let bytes = out.finish().unwrap().into_inner();
    let good = parse("ercot", &bytes).unwrap();
    let salvaged = parse("ercot", &without_directory(bytes)).unwrap();
    assert_eq!(salvaged.series, good.series);
}

#[test]
fn a_report_posted_again_counts_once() {
    let text = |price| {
        format!(
            "SCEDTimestamp,RepeatedHourFlag,SettlementPoint,LMP\n\
             04/10/2025 18:20:11,N,HB_WEST,{price}\n"
        )
    };
    let (first, again) = (text(40), text(42));
    let zip = pack_zip(&[
        ("cdr.00012300.20250410.182020.LMP_csv.csv", first.as_bytes()),
        ("cdr.00012300.20250410.182020.LMP_retry_csv.csv", again.as_bytes()),
    ]);
    insta::assert_snapshot!(show_all(&parse("ercot", &zip)), @"
    ercot_np6_788
    HB_WEST dispatch
      2025-04-10T23:20:11Z +5 min 42.00/MWh known 2025-04-10T23:20:31Z
    note: x.csv: rows that came again: 1; the last of each counts
    note: x.csv: rows that came again with another value: 1; the first is of [2025-04-10T23:20:11Z, 2025-04-10T23:25:11Z)
    ");
}
