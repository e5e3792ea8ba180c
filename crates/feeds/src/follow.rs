//! Follows a source of prices: a folder into which files arrive, one file, or an address.
//!
//! Everything here blocks, so a follower runs in a thread of its own. A file still being written
//! is waited for; what cannot be used is told once and forgotten; nothing is told twice.

use crate::container::Container;
use crate::error::FeedError;
use crate::http::{self, Fetch, NetFetch, Outcome, Reply, Request};
use crate::limits::{
    CLOCK_SKEW_MAX, EMPTY_RUN_MAX, FILES_PER_POLL_MAX, FOLDER_FILES_MAX, ROWS_PER_ITEM_MAX,
    TOLD_MAX, TRIES_CHANGING_MAX, TRIES_MAX,
};
use crate::live::{self, Found, Live, LivePlan, Verdict, Wanted};
use crate::market::Market;
use crate::parse::{self, FileKind, Options, Parsed};
use headgate_core::limits::TEXT_MAX;
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::time::{SECOND, Span, Time};
use headgate_core::units::Price;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What a follower brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// Prices not told before, in time order.
    Prices {
        /// What they are prices of.
        kind: PriceKind,
        /// The prices.
        rows: Vec<PriceRow>,
    },
    /// Something unusable; what was told before stands.
    Rejected {
        /// One sentence: file, line, field and the mend.
        error: String,
    },
    /// Something to know that keeps no price from being used.
    Noted {
        /// One sentence.
        text: String,
    },
}

/// What to follow, and how.
#[derive(Debug, Clone)]
pub struct FollowPlan {
    /// `file:DIR`, `file:PATH`, or an `http:` or `https:` address.
    pub source: String,
    /// The only kind of file that is taken; `None` takes any.
    pub parser: Option<FileKind>,
    /// What the prices are to be of.
    pub role: PriceKind,
    /// Whose prices.
    pub point: SettlementPoint,
    /// Pause between two looks.
    pub every: Span,
    /// How a server that is more than one address is followed.
    pub live: Option<LivePlan>,
}

/// Follows one source.
#[derive(Debug)]
pub struct Follower {
    market: Market,
    parser: Option<FileKind>,
    options: Options,
    role: PriceKind,
    every: Span,
    next_at: Time,
    source: Source,
    told: Told,
    last_error: Option<String>,
    last_ok: Option<Time>,
    /// Answers without rows in a row, and since when.
    empty: (u32, Time),
    clock_is_off: bool,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Source {
    Files { path: PathBuf, seen: BTreeMap<PathBuf, Seen> },
    Http { url: String, poll: http::Poll, fetch: Box<dyn Fetch> },
    Live { shown: String, live: Box<dyn Live>, fetch: Box<dyn Fetch> },
}

/// Size and time of change of a file, by which a change is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    changed_ns: u128,
}

/// What is remembered of a file.
#[derive(Debug, Clone, Copy)]
struct Seen {
    stamp: Stamp,
    done: bool,
    tries: u32,
    changes: u32,
}

impl Follower {
    /// Follows a source, over the network where it is an address.
    ///
    /// # Errors
    /// [`FeedError`] when the source is neither a file nor an address.
    pub fn new(plan: FollowPlan, market: Market) -> Result<Self, FeedError> {
        Self::with_fetch(plan, market, Box::new(NetFetch::default()))
    }

    /// Follows a source, fetching through what is given.
    ///
    /// # Errors
    /// As [`Follower::new`].
    pub fn with_fetch(
        plan: FollowPlan,
        market: Market,
        fetch: Box<dyn Fetch>,
    ) -> Result<Self, FeedError> {
        let url = plan.source;
        let wanted = Wanted {
            source: &url,
            market: &market,
            role: plan.role,
            point: &plan.point,
            every: plan.every,
        };
        let live = plan.live.as_ref().map(|live| live::machine(live, &wanted)).transpose()?;
        let source = if let Some(live) = live.flatten() {
            Source::Live { shown: http::without_secrets(&url), live, fetch }
        } else if let Some(path) = url.strip_prefix("file:") {
            Source::Files { path: PathBuf::from(path), seen: BTreeMap::new() }
        } else if url.starts_with("http://") || url.starts_with("https://") {
            let poll = http::Poll::new(&url, plan.every);
            Source::Http { url, poll, fetch }
        } else {
            return Err(FeedError::Whole {
                file: format!("source `{}`", http::without_secrets(&url)),
                what: "it is neither a file nor an address".into(),
                mend: "write file:FOLDER, file:PATH, http://... or https://...".into(),
            });
        };
        let options =
            Options { point: Some(plan.point), kind: Some(plan.role), ..Options::default() };
        Ok(Self {
            market,
            parser: plan.parser,
            options,
            role: plan.role,
            every: plan.every,
            next_at: Time::MIN,
            source,
            told: Told::default(),
            last_error: None,
            last_ok: None,
            empty: (0, Time::MIN),
            clock_is_off: false,
            notes: Vec::new(),
        })
    }

    /// When to look next.
    #[must_use]
    pub fn next_at(&self) -> Time {
        self.next_at
    }

    /// When a look last went well, be there something new or not.
    #[must_use]
    pub fn last_ok(&self) -> Option<Time> {
        self.last_ok
    }

    /// Looks once and brings what is new: prices in time order, then what was rejected.
    ///
    /// A price that arrives before its market's rule lets expect it is known from `now` on.
    pub fn poll(&mut self, now: Time) -> Vec<FeedItem> {
        let (mut fresh, mut errors) = (BTreeMap::new(), Vec::new());
        let mut posted = None;
        // Taken out for the look, so that reading may use the rest of the follower.
        let nowhere = Source::Files { path: PathBuf::new(), seen: BTreeMap::new() };
        let mut source = std::mem::replace(&mut self.source, nowhere);
        match &mut source {
            Source::Files { path, seen } => {
                self.next_at = now + self.every;
                self.look(now, path, seen, &mut fresh, &mut errors);
            }
            Source::Http { url, poll, fetch } => {
                self.ask(url, poll, fetch.as_mut(), now, &mut fresh, &mut errors);
                self.next_at = poll.next_at();
            }
            Source::Live { shown, live, fetch } => {
                posted =
                    self.step(shown, live.as_mut(), fetch.as_mut(), now, &mut fresh, &mut errors);
                self.next_at = live.next_at();
            }
        }
        self.source = source;
        self.items(now, posted, fresh, errors)
    }

    fn items(
        &mut self,
        now: Time,
        posted: Option<Time>,
        fresh: BTreeMap<Which, PriceRow>,
        errors: Vec<String>,
    ) -> Vec<FeedItem> {
        let posted = posted.unwrap_or(Time::MAX);
        let mut rows: Vec<PriceRow> = {
            let new = |(which, row): (Which, PriceRow)| {
                self.told.is_new(which, &row, posted).then_some(row)
            };
            fresh.into_iter().filter_map(new).collect()
        };
        for row in &mut rows {
            row.known_at = row.known_at.min(now);
        }
        let kind = self.role;
        let mut items: Vec<FeedItem> = rows
            .chunks(ROWS_PER_ITEM_MAX)
            .map(|rows| FeedItem::Prices { kind, rows: rows.to_vec() })
            .collect();
        items.extend(errors.into_iter().map(|error| FeedItem::Rejected { error: cut(error) }));
        items.extend(self.notes.drain(..).map(|text| FeedItem::Noted { text: cut(text) }));
        items
    }

    fn look(
        &mut self,
        now: Time,
        path: &Path,
        seen: &mut BTreeMap<PathBuf, Seen>,
        fresh: &mut BTreeMap<Which, PriceRow>,
        errors: &mut Vec<String>,
    ) {
        let files = match list(path) {
            Ok(files) => {
                self.well(now);
                files
            }
            Err(source) => {
                let file = path.display().to_string();
                self.complain(FeedError::Read { file, source }.sentence(), errors);
                return;
            }
        };
        seen.retain(|file, _| files.contains_key(file));
        let due = files
            .iter()
            .filter(|(file, stamp)| seen.get(*file).is_none_or(|s| !s.done || s.stamp != **stamp));
        // Of a full folder the newest files come first; the rest follow in later looks.
        let mut due: Vec<(&PathBuf, &Stamp)> = due.collect();
        let old = due.len().saturating_sub(FILES_PER_POLL_MAX);
        due.drain(..old);
        for (file, stamp) in due {
            let before = seen.get(file).copied();
            let (state, error) = self.visit(file, *stamp, before, fresh);
            seen.insert(file.clone(), state);
            errors.extend(error);
        }
    }

    /// Reads one file that is new, changed or not yet done.
    fn visit(
        &self,
        file: &Path,
        stamp: Stamp,
        before: Option<Seen>,
        fresh: &mut BTreeMap<Which, PriceRow>,
    ) -> (Seen, Option<String>) {
        let (mut tries, mut changes) = (0, 0);
        let mut settled = false;
        if let Some(before) = before {
            settled = before.stamp == stamp;
            tries = if settled { before.tries } else { 0 };
            changes = if before.done { 0 } else { before.changes + u32::from(!settled) };
        }
        let state = |done, tries| Seen { stamp, done, tries, changes };
        if !settled && changes < TRIES_CHANGING_MAX && !looks_whole(file) {
            return (state(false, tries), None);
        }
        match self.read(file) {
            Ok(parsed) => {
                take(&parsed, self.role, fresh);
                (state(true, 0), None)
            }
            Err(_) if tries + 1 < TRIES_MAX && changes < TRIES_CHANGING_MAX => {
                (state(false, tries + 1), None)
            }
            Err(e) => (state(true, 0), Some(e.sentence())),
        }
    }

    fn read(&self, path: &Path) -> Result<Parsed, FeedError> {
        let file = path.display().to_string();
        let opened = fs::File::open(path)
            .map_err(|source| FeedError::Read { file: file.clone(), source })?;
        self.parse(&file, io::BufReader::new(opened))
    }

    fn parse<R: Read + Seek>(&self, file: &str, input: R) -> Result<Parsed, FeedError> {
        let parsed = parse::parse(file, input, &self.market, &self.options)?;
        match self.parser {
            Some(wanted) if !alike(wanted, parsed.kind) => Err(FeedError::Whole {
                file: file.to_owned(),
                what: format!("it is of kind {} where {wanted} is expected", parsed.kind),
                mend: "put it where its own feed looks, or change the feed's kind".into(),
            }),
            _ => Ok(parsed),
        }
    }

    fn ask(
        &mut self,
        url: &str,
        poll: &mut http::Poll,
        fetch: &mut dyn Fetch,
        now: Time,
        fresh: &mut BTreeMap<Which, PriceRow>,
        errors: &mut Vec<String>,
    ) {
        let Some(condition) = poll.request(now) else { return };
        let shown = http::without_secrets(url);
        let reply = fetch.send(&Request { condition, ..Request::get(url) });
        self.compare_clocks(&shown, now, &reply);
        match poll.reply(now, reply) {
            Outcome::Same => self.well(now),
            Outcome::Failed(what) => {
                self.complain(FeedError::Fetch { url: shown, what }.sentence(), errors);
            }
            Outcome::Body(bytes) => match self.parse(&shown, io::Cursor::new(bytes)) {
                Ok(parsed) => {
                    self.has_rows(&shown);
                    self.well(now);
                    take(&parsed, self.role, fresh);
                }
                Err(FeedError::NoRows { .. }) => {
                    poll.forget();
                    self.is_empty(&shown, now, errors);
                }
                Err(e) => {
                    poll.forget();
                    self.complain(e.sentence(), errors);
                }
            },
        }
    }

    /// Carries one request of a live source, and judges what came: when that was posted.
    fn step(
        &mut self,
        shown: &str,
        live: &mut dyn Live,
        fetch: &mut dyn Fetch,
        now: Time,
        fresh: &mut BTreeMap<Which, PriceRow>,
        errors: &mut Vec<String>,
    ) -> Option<Time> {
        let request = live.request(now);
        self.notes.extend(live.complaint());
        let reply = fetch.send(&request?);
        self.compare_clocks(shown, now, &reply);
        match live.reply(now, reply) {
            Found::Nothing => None,
            Found::Fine => {
                self.well(now);
                None
            }
            Found::Empty => {
                self.is_empty(shown, now, errors);
                None
            }
            Found::Failed(what) => {
                let url = shown.to_owned();
                self.complain(FeedError::Fetch { url, what }.sentence(), errors);
                None
            }
            Found::Document { name, posted, history, bytes } => {
                let (verdict, error) = self.judge(&name, bytes, fresh);
                let first = live.judged(now, verdict);
                match verdict {
                    Verdict::Taken(_) | Verdict::NoRows if history => {}
                    Verdict::Taken(_) => {
                        self.has_rows(shown);
                        self.well(now);
                    }
                    Verdict::NoRows => self.is_empty(shown, now, errors),
                    Verdict::Unusable if first => self.complain(error, errors),
                    Verdict::Unusable => {}
                }
                posted
            }
        }
    }

    fn judge(
        &self,
        name: &str,
        bytes: Vec<u8>,
        fresh: &mut BTreeMap<Which, PriceRow>,
    ) -> (Verdict, String) {
        if http::is_web_page(&bytes) {
            let (url, what) = (name.to_owned(), http::WEB_PAGE.to_owned());
            return (Verdict::Unusable, FeedError::Fetch { url, what }.sentence());
        }
        match self.parse(name, io::Cursor::new(bytes)) {
            Ok(parsed) => {
                take(&parsed, self.role, fresh);
                let newest = fresh.last_key_value().map(|(_, row)| row.interval.end);
                (Verdict::Taken(newest), String::new())
            }
            Err(FeedError::NoRows { .. }) => (Verdict::NoRows, String::new()),
            Err(e) => (Verdict::Unusable, e.sentence()),
        }
    }

    fn well(&mut self, now: Time) {
        self.last_error = None;
        self.last_ok = Some(now);
    }

    /// An answer in order without rows is ordinary; a run of them is a gap, and told.
    fn is_empty(&mut self, shown: &str, now: Time, errors: &mut Vec<String>) {
        let (run, since) = self.empty;
        let since = if run == 0 { Time::from_seconds(now.0.div_euclid(SECOND)) } else { since };
        self.empty = (run.saturating_add(1), since);
        self.last_ok = Some(now);
        if self.empty.0 >= EMPTY_RUN_MAX {
            let url = shown.to_owned();
            let what = format!(
                "it has answered without rows since {since}; what is missing stays unknown, so \
                 see whether the market publishes at all"
            );
            self.complain(FeedError::Fetch { url, what }.sentence(), errors);
        }
    }

    fn has_rows(&mut self, shown: &str) {
        let (run, since) = std::mem::replace(&mut self.empty, (0, Time::MIN));
        if run >= EMPTY_RUN_MAX {
            self.notes.push(format!("{shown} has rows again; it had none since {since}"));
        }
    }

    /// Tells once when a server's clock and ours are far apart. Prices keep their own stamps.
    fn compare_clocks(&mut self, shown: &str, now: Time, reply: &Result<Reply, String>) {
        let Some(ahead) = reply.as_ref().ok().and_then(|r| r.clock_ahead(now)) else { return };
        let off = ahead.0.saturating_abs() > CLOCK_SKEW_MAX.0;
        if off == self.clock_is_off {
            return;
        }
        self.clock_is_off = off;
        // To the minute: a request takes a while, and stamps are in seconds.
        let half = Span::seconds(30);
        let size = Span::minutes((Span(ahead.0.saturating_abs()) + half).as_seconds() / 60);
        let side = if ahead.0 > 0 { "ahead of" } else { "behind" };
        self.notes.push(match off {
            true => format!(
                "the clock of {shown} is {size} {side} this computer's: set the wrong one right; \
                 prices keep the stamps they came with"
            ),
            false => format!("the clocks of {shown} and of this computer agree again"),
        });
    }

    /// Tells of a trouble of the whole source once, until it is over or another one.
    fn complain(&mut self, error: String, errors: &mut Vec<String>) {
        if self.last_error.as_ref() != Some(&error) {
            self.last_error = Some(error.clone());
            errors.push(error);
        }
    }
}

/// Whether two kinds are one report, by month or by interval.
fn alike(a: FileKind, b: FileKind) -> bool {
    let spp = |k| matches!(k, FileKind::ErcotNp6905 | FileKind::ErcotNp6785);
    a == b || (spp(a) && spp(b))
}

/// What tells one price from another: the interval; and of what is foreseen the run too, as several
/// runs foresee one step, and one that foresees the same again says that it still holds.
type Which = (Time, Time);

fn which(role: PriceKind, row: &PriceRow) -> Which {
    let run = if role == PriceKind::LookAhead { row.known_at } else { Time::MIN };
    (row.interval.start, run)
}

/// Takes the prices of the kind that is followed: a file may hold others beside them.
fn take(parsed: &Parsed, role: PriceKind, fresh: &mut BTreeMap<Which, PriceRow>) {
    for series in parsed.series.iter().filter(|s| s.kind.price_kind() == Some(role)) {
        fresh.extend(series.rows.iter().map(|row| (which(role, row), *row)));
    }
}

/// Files of a folder in the order of their names, or the one file, with size and change.
fn list(path: &Path) -> io::Result<BTreeMap<PathBuf, Stamp>> {
    let about = fs::metadata(path)?;
    let mut files = BTreeMap::new();
    if !about.is_dir() {
        files.insert(path.to_owned(), Stamp::of(&about));
        return Ok(files);
    }
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if is_left_out(&file) {
            continue;
        }
        // A file may be gone again between the listing and now.
        if let Ok(about) = fs::metadata(&file)
            && about.is_file()
        {
            files.insert(file, Stamp::of(&about));
        }
        if files.len() > FOLDER_FILES_MAX {
            files.pop_first();
        }
    }
    Ok(files)
}

/// Names of files that are being written, hidden, or the XML twins of ERCOT's reports.
fn is_left_out(file: &Path) -> bool {
    const ENDINGS: [&str; 6] = [".tmp", ".part", ".partial", ".crdownload", "~", ".xml"];
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    name.starts_with('.') || name.contains("_xml") || ENDINGS.iter().any(|e| name.ends_with(e))
}

/// Whether a file may be read at its first sight: packed files tell when they are cut short,
/// a plain one is taken to be whole when its last line is.
fn looks_whole(path: &Path) -> bool {
    let look = || -> io::Result<bool> {
        let mut file = fs::File::open(path)?;
        let mut magic = [0u8; 4];
        let have = file.read(&mut magic)?;
        if Container::of(&magic[..have]) != Container::Plain {
            return Ok(true);
        }
        let mut last = [0u8; 1];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last == *b"\n")
    };
    look().unwrap_or(false)
}

impl Stamp {
    fn of(about: &fs::Metadata) -> Self {
        let changed = about.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        Self { bytes: about.len(), changed_ns: changed.map_or(0, |d| d.as_nanos()) }
    }
}

/// The prices told, so that a growing file tells only what is new in it.
#[derive(Debug, Default)]
struct Told {
    prices: BTreeMap<Which, (Price, Time)>,
}

impl Told {
    /// Whether a row is new or changed; remembers it. A later posting replaces an earlier one,
    /// in whichever order they are fetched. Once the memory is full, rows older than all of it
    /// are not new: the engine keeps far fewer.
    fn is_new(&mut self, which: Which, row: &PriceRow, posted: Time) -> bool {
        let full = self.prices.len() >= TOLD_MAX;
        let older = self.prices.first_key_value().is_some_and(|(first, _)| which < *first);
        let before = self.prices.get(&which);
        if (full && older) || before.is_some_and(|(_, then)| *then > posted) {
            return false;
        }
        let new = before.is_none_or(|(price, _)| *price != row.price);
        self.prices.insert(which, (row.price, posted));
        if self.prices.len() > TOLD_MAX {
            self.prices.pop_first();
        }
        new
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        None => text,
        Some((at, _)) => text[..at].to_owned(),
    }
}
