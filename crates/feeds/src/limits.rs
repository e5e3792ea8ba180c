//! Every bound of the feeds, named once.

use headgate_core::time::Span;

/// Most bytes one input may have once unpacked; an ERCOT year of all hubs and zones has 0.1 GB.
pub const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// Most bytes of a zip inside a zip, which has to be held in memory.
pub const INNER_ZIP_BYTES_MAX: u64 = 64 << 20;
/// Zips inside zips that are opened: an archive download is a zip of zips.
pub const ZIP_DEPTH_MAX: usize = 2;
/// Most files in one zip.
pub const ZIP_ENTRIES_MAX: usize = 20_000;
/// Most rows kept of one input.
pub const ROWS_MAX: usize = 20_000_000;
/// Most bytes of an answer in JSON, which is held in memory; 100,000 rows have 10 MB.
pub const JSON_BYTES_MAX: u64 = 128 << 20;
/// Most settlement points of one input; a full nodal file has some 18,000.
pub const POINTS_MAX: usize = 50_000;
/// Most columns of a header.
pub const COLUMNS_MAX: usize = 20_000;
/// Local hours whose offset is remembered; ten years.
pub const LOCAL_HOURS_MAX: usize = 90_000;
/// Highest interval number of a `t,price` file: ten years of five-minute intervals.
pub const INDEX_MAX: i64 = 1_051_200;
/// Names shown in a message before it says how many more there are.
pub const NAMES_SHOWN_MAX: usize = 6;
/// Most characters of foreign text shown in a message.
pub const TEXT_SHOWN_MAX: usize = 60;
/// Dated rules of one market.
pub const DATED_RULES_MAX: usize = 1_000;
/// Largest market file.
pub const MARKET_BYTES_MAX: usize = 1 << 20;
/// Hash prices kept of one file: a century of days.
pub const HASHPRICES_MAX: usize = 36_600;

/// Most files of a followed folder that are looked at; the last by name win.
pub const FOLDER_FILES_MAX: usize = 100_000;
/// Most files read in one poll, so that a full folder does not hold up the first price.
pub const FILES_PER_POLL_MAX: usize = 1_000;
/// Times an unchanged file that cannot be read is tried before it is rejected.
pub const TRIES_MAX: u32 = 3;
/// Times a file that keeps changing is tried before it is rejected all the same.
pub const TRIES_CHANGING_MAX: u32 = 120;
/// Rows remembered as told, so that a growing file tells only what is new.
pub const TOLD_MAX: usize = 20_000;
/// Most rows in one item of a follower.
pub const ROWS_PER_ITEM_MAX: usize = 5_000;
/// Largest body taken from an address.
pub const BODY_BYTES_MAX: u64 = 64 << 20;
/// Time one request may take, connecting included.
pub const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);
/// Longest pause after repeated failures of an address.
pub const BACKOFF_MAX: Span = Span::minutes(5);
/// Longest `Retry-After` that is honoured.
pub const RETRY_AFTER_MAX: Span = Span::hours(1);
/// Share of the poll interval by which polls are spread, in percent.
pub const JITTER_PERCENT: u64 = 10;
/// First pause after a failure, doubled with each further one.
pub const FAILED_PAUSE: Span = Span::seconds(10);
/// Least pause between two requests to a market's server: 24 a minute where 30 are allowed.
pub const REQUEST_GAP: Span = Span::millis(2_500);
/// How far a server's clock may be from ours; a request takes a while, and stamps are in seconds.
pub const CLOCK_SKEW_MAX: Span = Span::minutes(2);
/// Answers without rows after which a source is told to be empty.
pub const EMPTY_RUN_MAX: u32 = 3;
/// Most documents of one listing that are looked at, the newest; two weeks of 5-minute files.
pub const DOCUMENTS_MAX: usize = 5_000;
/// Documents remembered as fetched; more than a listing shows.
pub const FETCHED_MAX: usize = 2 * DOCUMENTS_MAX;
/// Largest listing.
pub const LISTING_BYTES_MAX: usize = 16 << 20;
/// Most pages asked for of one answer.
pub const PAGES_MAX: u32 = 200;
/// Rows asked for a page.
pub const PAGE_ROWS: u32 = 10_000;
/// Documents of one archive download; the service allows 1,000.
pub const ARCHIVE_BATCH_MAX: usize = 200;
/// Documents of an archive caught up with at once.
pub const ARCHIVE_DOCUMENTS_MAX: usize = 10_000;
/// How far back a query goes; older gaps are filled from the archive.
pub const QUERY_BACK: Span = Span::hours(24);
/// Pause between two looks into an archive.
pub const ARCHIVE_EVERY: Span = Span::hours(1);
/// Age at which a token is renewed; it is valid for an hour.
pub const TOKEN_RENEWED_AFTER: Span = Span::minutes(50);
/// Largest file of what a feed remembers.
pub const MEMORY_BYTES_MAX: u64 = 4 << 20;
