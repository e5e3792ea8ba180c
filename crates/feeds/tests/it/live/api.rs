//! ERCOT's Public API: tokens, pages, emptiness, the archive, and secrets that stay secret.

use super::server::{Answer, Asked, Server, ok, status};
use super::{Bench, live, plan, quarter};
use crate::common::pack_zip;
use headgate_core::time::Span;
use headgate_feeds::http::Secret;
use headgate_feeds::live::{Credentials, LiveKind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

fn api(server: Server) -> Bench {
    bench(server, Span::hours(24))
}

fn bench(server: Server, catch_up: Span) -> Bench {
    let source = format!("{}/api/public-reports/np6-905-cd/spp_node_zone_hub", server.host());
    let mut live = live(LiveKind::ErcotApi);
    live.catch_up = catch_up;
    live.token = Some(format!("{}/token", server.host()));
    live.credentials = Some(Credentials {
        username: Secret::new("anna@example.org"),
        password: Secret::new("p&ss word"),
        subscription_key: Secret::new("key-1"),
    });
    Bench::new("ercot", plan(source, live), server)
}

/// A page of an answer: rows of hour 12 by quarter and price.
fn page(total: u32, rows: &[(u32, &str)]) -> Answer {
    let rows: Vec<String> = rows
        .iter()
        .map(|(q, price)| format!(r#"["2025-04-10",12,{q},"LZ_WEST","LZ",{price},false]"#))
        .collect();
    let names = [
        "deliveryDate",
        "deliveryHour",
        "deliveryInterval",
        "settlementPoint",
        "settlementPointType",
        "settlementPointPrice",
        "DSTFlag",
    ];
    let fields = names.map(|n| format!("{{\"name\":\"{n}\"}}")).join(",");
    let rows = rows.join(",");
    ok(format!(r#"{{"_meta":{{"totalPages":{total}}},"fields":[{fields}],"data":[{rows}]}}"#))
}

fn token(n: u32) -> Answer {
    ok(format!(r#"{{"id_token":"token-{n}","expires_in":"3600"}}"#))
}

fn is_token(asked: &Asked) -> bool {
    asked.path == "/token"
}

fn page_of(asked: &Asked) -> &str {
    asked.path.rsplit('=').next().unwrap()
}

#[test]
fn a_token_that_ends_between_two_pages_is_renewed_and_the_page_asked_again() {
    let tokens = AtomicU32::new(0);
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    let server = Server::new(move |asked, n| {
        if is_token(asked) {
            kept.lock().unwrap().push(asked.body.clone());
            return token(tokens.fetch_add(1, Ordering::Relaxed) + 1);
        }
        let wanted = ["authorization", "ocp-apim"];
        let told = asked.head.lines().filter(|l| wanted.iter().any(|w| l.starts_with(w)));
        kept.lock().unwrap().push(told.collect::<Vec<_>>().join(" "));
        match (page_of(asked), n) {
            // The first token is refused at the second page.
            ("2", 2) => status(401, ""),
            ("1", _) => page(3, &[(1, "31"), (2, "32")]),
            ("2", _) => page(3, &[(3, "33.10")]),
            _ => page(3, &[(4, "-34")]),
        }
    });
    let mut bench = api(server);
    insta::assert_snapshot!(bench.run(Span::seconds(50)), @"
    POST /token
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
      04-10T16:00 31.00/MWh, 04-10T16:15 32.00/MWh
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=2
    POST /token
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=2
      04-10T16:30 33.10/MWh
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=3
      04-10T16:45 -34.00/MWh
    ");
    insta::assert_snapshot!(heads.lock().unwrap().join("\n"), @"
    username=anna%40example.org&password=p%26ss%20word&grant_type=password&scope=openid%20fec253ea-0d06-4272-a5e6-b478baeecd70%20offline_access&client_id=fec253ea-0d06-4272-a5e6-b478baeecd70&response_type=id_token
    authorization: Bearer token-1 ocp-apim-subscription-key: key-1
    authorization: Bearer token-1 ocp-apim-subscription-key: key-1
    username=anna%40example.org&password=p%26ss%20word&grant_type=password&scope=openid%20fec253ea-0d06-4272-a5e6-b478baeecd70%20offline_access&client_id=fec253ea-0d06-4272-a5e6-b478baeecd70&response_type=id_token
    authorization: Bearer token-2 ocp-apim-subscription-key: key-1
    authorization: Bearer token-2 ocp-apim-subscription-key: key-1
    ");
    bench.check_pace();
    // An hour on: the token is renewed before it ends, and nothing is told twice.
    let told = bench.run(Span::minutes(61));
    assert_eq!(told.matches("POST /token").count(), 1, "{told}");
    assert!(!told.contains("MWh") && !told.contains("rejected"), "{told}");
    bench.check_pace();
}

#[test]
fn refusals_say_what_to_check_and_never_a_secret() {
    let mut bench = api(Server::new(|asked, n| match n {
        0 => status(400, ""),
        1 => ok(r#"{"error":"p&ss word is wrong"}"#),
        2 => status(302, "Location: http://127.0.0.1:9/stolen\r\n"),
        3 | 5 | 7 => token(1),
        4 | 6 => status(401, ""),
        8 => status(429, "Retry-After: 40\r\n"),
        9 => status(403, ""),
        _ if is_token(asked) => token(2),
        _ => page(1, &[(1, "31")]),
    }));
    let told = bench.run(Span::minutes(30));
    let short: Vec<&str> = told.lines().take(24).collect();
    insta::assert_snapshot!(short.join("\n"), @"
    POST /token
      rejected: failed to fetch HOST/API/np6-905-cd/spp_node_zone_hub: the token service refused to sign in with status 400; check username and password in the credentials
    POST /token
      rejected: failed to fetch HOST/API/np6-905-cd/spp_node_zone_hub: the token service answered without an id_token
    POST /token
      rejected: failed to fetch HOST/API/np6-905-cd/spp_node_zone_hub: signing in failed: it answered with status 302
    POST /token
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    POST /token
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
      rejected: failed to fetch HOST/API/np6-905-cd/spp_node_zone_hub: it refuses a new token, too; check the subscription key in the credentials
    POST /token
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
      rejected: failed to fetch HOST/API/np6-905-cd/spp_node_zone_hub: it answered with status 429: it was asked too often, and is asked again once it allows
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
      rejected: failed to fetch HOST/API/np6-905-cd/spp_node_zone_hub: it answered with status 403: it refuses this computer; ERCOT answers addresses in the US alone
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
      04-10T16:00 31.00/MWh
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    ");
    let shown = format!("{told} {:?}", bench.follower);
    for secret in ["p&ss", "p%26ss", "anna", "key-1", "token-1", "token-2"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[test]
fn answers_without_rows_are_a_gap_and_the_archive_is_asked() {
    let mut bench = api(Server::new(|asked, n| match n {
        _ if is_token(asked) => token(1),
        _ if asked.path.contains("/download") => {
            pack(&[("a.zip", quarter(11, 4, "28")), ("b.zip", quarter(12, 1, "31"))])
        }
        _ if asked.path.contains("/archive/") => ok(r#"{"_meta":{"totalPages":1},"archives":[
                {"docId":71,"friendlyName":"SPP_csv","postDatetime":"2025-04-10T11:02:10"},
                {"docId":72,"friendlyName":"SPP_xml","postDatetime":"2025-04-10T11:02:10"},
                {"docId":73,"friendlyName":"SPP_csv","postDatetime":"2025-04-10T11:17:10"}]}"#),
        0..=8 => page(1, &[]),
        _ => page(1, &[(2, "32")]),
    }));
    insta::assert_snapshot!(bench.run(Span::minutes(7)), @"
    POST /token
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
      rejected: failed to fetch HOST/API/np6-905-cd/spp_node_zone_hub: it has answered without rows since 2025-04-10T17:00..Z; what is missing stays unknown, so see whether the market publishes at all
    GET /API/archive/np6-905-cd?postDatetimeFrom=2025-04-09T12:02..&postDatetimeTo=2025-04-10T12:02..&size=1000&page=1
    POST /API/archive/np6-905-cd/download
      04-10T15:45 28.00/MWh, 04-10T16:00 31.00/MWh
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-10&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
      04-10T16:15 32.00/MWh
      noted: HOST/API/np6-905-cd/spp_node_zone_hub has rows again; it had none since 2025-04-10T17:00..Z
    ");
    bench.check_pace();
}

fn pack(files: &[(&str, Vec<u8>)]) -> Answer {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
    ok(pack_zip(&files))
}

#[test]
fn days_without_us_are_caught_up_from_the_archive_page_by_page() {
    let mut bench = bench(
        Server::new(|asked, _| match asked {
            _ if is_token(asked) => token(1),
            _ if asked.path.contains("/download") => {
                let n = asked.body.split(',').count();
                pack(&[("a.zip", quarter(u32::try_from(n % 24).unwrap() + 1, 1, "20"))])
            }
            _ if asked.path.contains("/archive/") => {
                let of: u32 = page_of(asked).parse().unwrap();
                let one = |i: u32| {
                    let (hour, minute) = (i / 60, i % 60);
                    format!(
                        r#"{{"docId":{},"postDatetime":"2025-04-0{of}T{hour:02}:{minute:02}:00"}}"#,
                        of * 1000 + i
                    )
                };
                let all: Vec<String> = (0..150).map(one).collect();
                let all = all.join(",");
                ok(format!(r#"{{"_meta":{{"totalPages":3}},"archives":[{all}]}}"#))
            }
            _ => page(1, &[(2, "32")]),
        }),
        Span::hours(24 * 7),
    );
    let told = bench.run(Span::seconds(50));
    insta::assert_snapshot!(told, @"
    POST /token
    GET /API/np6-905-cd/spp_node_zone_hub?deliveryDateFrom=2025-04-09&deliveryDateTo=2025-04-10&settlementPoint=LZ_WEST&settlementPointType=LZ&size=10000&page=1
      04-10T16:15 32.00/MWh
    GET /API/archive/np6-905-cd?postDatetimeFrom=2025-04-03T12:00..&postDatetimeTo=2025-04-10T12:00..&size=1000&page=1
    GET /API/archive/np6-905-cd?postDatetimeFrom=2025-04-03T12:00..&postDatetimeTo=2025-04-10T12:00..&size=1000&page=2
    GET /API/archive/np6-905-cd?postDatetimeFrom=2025-04-03T12:00..&postDatetimeTo=2025-04-10T12:00..&size=1000&page=3
    POST /API/archive/np6-905-cd/download
      04-10T13:00 20.00/MWh
    POST /API/archive/np6-905-cd/download
    POST /API/archive/np6-905-cd/download
      04-10T07:00 20.00/MWh
    ");
    bench.check_pace();
}

#[test]
fn a_plan_without_an_account_or_a_product_is_refused() {
    let told = |source: &str, keys: bool| {
        let mut live = live(LiveKind::ErcotApi);
        live.credentials = keys.then(|| Credentials {
            username: Secret::new("u"),
            password: Secret::new("p"),
            subscription_key: Secret::new("k"),
        });
        let market = headgate_feeds::Market::shipped("ercot").unwrap();
        headgate_feeds::Follower::new(plan(source.into(), live), market).unwrap_err().sentence()
    };
    insta::assert_snapshot!(told("https://127.0.0.1/np6-905-cd/x", false), @"failed to read source `https://127.0.0.1/np6-905-cd/x`: the API wants an account and a key; name `credentials`");
    insta::assert_snapshot!(told("https://127.0.0.1/", true), @"failed to read source `https://127.0.0.1/`: no query is known for this product; use np6-905-cd, np6-788-cd or np4-190-cd, or write the whole query after a `?`");
    insta::assert_snapshot!(told("https://127.0.0.1/np3-233-cd/x", true), @"failed to read source `https://127.0.0.1/np3-233-cd/x`: no query is known for this product; use np6-905-cd, np6-788-cd or np4-190-cd, or write the whole query after a `?`");
}
