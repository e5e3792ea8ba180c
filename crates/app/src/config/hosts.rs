//! Machine addresses as people write them: ranges, CIDR blocks, single ones, an inventory.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Largest inventory file.
pub const INVENTORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One address or a run of them, and the port where one is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hosts {
    first: IpAddr,
    count: u32,
    /// The port, where it is written.
    pub port: Option<u16>,
}

impl Hosts {
    /// Reads `10.0.0.7`, `10.0.0.7:4028`, `10.0.0.1-10.0.3.250` or `10.0.0.0/22`; the port can
    /// follow each of them.
    ///
    /// A block leaves out its network and broadcast addresses; a range is taken as written.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self { first: ip, count: 1, port: None });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let port = Some(not_zero(address.port())?);
            return Ok(Self { first: address.ip(), count: 1, port });
        }
        let (body, port) = match text.rsplit_once(':') {
            Some((body, port)) => (body, Some(read_port(port)?)),
            None => (text, None),
        };
        if let Some((first, last)) = body.split_once('-') {
            let (first, last) = (read_v4(first, text)?, read_v4(last, text)?);
            let count = u32::from(last).checked_sub(u32::from(first));
            let count = count.ok_or_else(|| {
                format!("the range \"{text}\" ends before it begins: swap its two addresses")
            })?;
            return Ok(Self { first: IpAddr::V4(first), count: count.saturating_add(1), port });
        }
        if let Some((base, bits)) = body.split_once('/') {
            return Self::block(read_v4(base, text)?, bits, port);
        }
        Err(no_address(text))
    }

    fn block(base: Ipv4Addr, bits: &str, port: Option<u16>) -> Result<Self, String> {
        let bits = bits.parse::<u32>().ok().filter(|b| (1..=32).contains(b));
        let bits = bits.ok_or("a block ends in a number of bits from /1 to /32")?;
        let size = 1u32 << (32 - bits);
        let network = u32::from(base) & !(size - 1);
        if network != u32::from(base) {
            let network = Ipv4Addr::from(network);
            return Err(format!("{base} is inside its block: write {network}/{bits}"));
        }
        let (skip, count) = if size > 2 { (1, size - 2) } else { (0, size) };
        Ok(Self { first: IpAddr::V4(Ipv4Addr::from(network + skip)), count, port })
    }

    /// How many addresses there are.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// All addresses in order; the default port stands in where none is written.
    pub fn addresses(&self, default_port: u16) -> impl Iterator<Item = SocketAddr> + use<> {
        let (first, port) = (self.first, self.port.unwrap_or(default_port));
        (0..self.count).map(move |i| match first {
            IpAddr::V4(ip) => SocketAddr::from((Ipv4Addr::from(u32::from(ip) + i), port)),
            IpAddr::V6(ip) => SocketAddr::from((ip, port)),
        })
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::from((self.first, port))),
            None => write!(f, "{}", self.first),
        }
    }
}

fn read_v4(part: &str, text: &str) -> Result<Ipv4Addr, String> {
    part.trim().parse().map_err(|_| no_address(text))
}

/// Names are not taken: one would be looked up with every request, and may point elsewhere.
fn no_address(text: &str) -> String {
    format!(
        "\"{text}\" is not an IP address: write 10.0.0.7, 10.0.0.7:4028, 10.0.0.1-10.0.3.250 or \
         10.0.0.0/22"
    )
}

fn read_port(text: &str) -> Result<u16, String> {
    let port =
        text.trim().parse().map_err(|_| format!("`{text}` is not a port: use 1 to 65535"))?;
    not_zero(port)
}

fn not_zero(port: u16) -> Result<u16, String> {
    if port == 0 { Err("port 0 is no port: use 1 to 65535".into()) } else { Ok(port) }
}

/// Something wrong in an inventory: byte range in its text, and a sentence.
pub type InventoryProblem = (std::ops::Range<usize>, String);

/// Reads the column `address` of a CSV file; other columns are ignored.
///
/// Every row is tried, so that all bad ones are told at once.
pub fn inventory(text: &str) -> Result<Vec<Hosts>, Vec<InventoryProblem>> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut offset = text.len() - body.len();
    let mut lines = body.split_inclusive('\n').map(|line| {
        let start = offset;
        offset += line.len();
        (start, line.trim_end_matches(['\n', '\r']))
    });
    let (start, header) = lines.next().unwrap_or((0, ""));
    let names = cells(header);
    let Some(column) = names.iter().position(|n| n.eq_ignore_ascii_case("address")) else {
        let message = "an inventory needs a column `address` in its first line: add it".to_owned();
        return Err(vec![(start..start + header.len(), message)]);
    };
    let mut all = Vec::new();
    let mut problems = Vec::new();
    for (start, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let found = match cells(line).get(column) {
            Some(cell) => Hosts::read(cell),
            None => Err(format!("this line has no column {}: `address` is missing", column + 1)),
        };
        match found {
            Ok(hosts) if hosts.count == 1 => all.push(hosts),
            Ok(_) => problems.push((
                start..start + line.len(),
                "an inventory names one machine a line: write a single address".to_owned(),
            )),
            Err(message) => problems.push((start..start + line.len(), message)),
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// Splits one CSV line, quotes and doubled quotes included.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let cell = cells.last_mut().expect("there is always a cell");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cell.push(c),
        }
    }
    cells.iter().map(|c| c.trim().to_owned()).collect()
}
