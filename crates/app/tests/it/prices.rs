//! Small price files as ERCOT writes them, made by hand for 10 June 2024 (five hours behind UTC).

/// The header of the 15-minute report NP6-905.
pub const SPP_HEADER: &str = "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,\
                              SettlementPointType,SettlementPointPrice,DSTFlag\n";
/// The header of the wide 5-minute file.
pub const SCED_HEADER: &str = "SCEDTimestamp,repeatHourFlag,HB_HOUSTON,HB_WEST\n";

/// Quarter hours from 12:00 local (17:00 UTC) on, with another point's prices between them.
pub fn quarter_hours(prices: &[f64]) -> String {
    let mut text = SPP_HEADER.to_owned();
    for (i, price) in prices.iter().enumerate() {
        let (hour, quarter) = (13 + i / 4, 1 + i % 4);
        text += &format!("06/10/2024,{hour},{quarter},HB_HOUSTON,HU,{price:.2},N\n");
        text += &format!("06/10/2024,{hour},{quarter},LZ_HOUSTON,LZ,{:.2},N\n", 700.0 - price);
    }
    text
}

/// Five-minute runs from 12:00:07 local on, each 7 s after the full five minutes.
pub fn five_minutes(prices: &[f64]) -> String {
    let mut text = SCED_HEADER.to_owned();
    for (i, price) in prices.iter().enumerate() {
        let (hour, minute) = (12 + i / 12, i % 12 * 5);
        let other = 700.0 - price;
        text += &format!("2024-06-10T{hour:02}:{minute:02}:07,N,{price:.2},{other:.2}\n");
    }
    text
}

/// An hour and a half at 20, half an hour at 900, and an hour at 20 again.
pub fn spike(per_hour: usize) -> Vec<f64> {
    let mut prices = vec![20.0; per_hour * 3 / 2];
    prices.extend(vec![900.0; per_hour / 2]);
    prices.extend(vec![20.0; per_hour]);
    prices
}
