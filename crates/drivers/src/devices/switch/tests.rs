//! A breaker on loopback: a coil that tells it, and an input that shows how it stands.

use super::*;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A breaker, and every write that reached it.
#[derive(Default)]
struct Breaker {
    closed: u16,
    /// How many writes it takes and does nothing about.
    deaf: usize,
    writes: Vec<[u8; 5]>,
}

/// Serves a breaker: writes come to coil 5 or register 5, input register 6 shows it.
async fn breaker(breaker: Breaker) -> (SwitchPlan, Arc<Mutex<Breaker>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shared = Arc::new(Mutex::new(breaker));
    let breaker = Arc::clone(&shared);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 7];
            while stream.read_exact(&mut head).await.is_ok() {
                let mut ask = vec![0; usize::from(head[5]) - 1];
                stream.read_exact(&mut ask).await.unwrap();
                let answer = answer(&mut breaker.lock().unwrap(), &ask);
                head[5] = u8::try_from(answer.len() + 1).unwrap();
                stream.write_all(&[&head[..], &answer].concat()).await.unwrap();
            }
        }
    });
    let write = Point { spot: Spot::Coil, at: 5, on: 1, off: 0 };
    let read_back = Point { spot: Spot::Input, at: 6, on: 2, off: 1 };
    let (every, budget) = (Span::millis(20), Span::seconds(5));
    let plan = SwitchPlan { address, unit_id: 1, write, read_back, allowed: true, every, budget };
    (plan, shared)
}

fn answer(b: &mut Breaker, ask: &[u8]) -> Vec<u8> {
    match ask {
        [4, 0, 6, 0, 1] => vec![4, 2, 0, u8::try_from(b.closed).unwrap()],
        [5, 0, 5, on, 0] => {
            b.writes.push(ask.try_into().unwrap());
            if b.writes.len() > b.deaf {
                b.closed = if *on == 0xff { 2 } else { 1 };
            }
            ask.to_vec()
        }
        [code, ..] => vec![code | 0x80, 2],
        [] => Vec::new(),
    }
}

fn switch(plan: &SwitchPlan) -> Switch {
    Switch::new(plan.clone(), Arc::new(AllowList::of([plan])))
}

#[tokio::test]
async fn a_switch_is_told_and_read_back() {
    let (plan, breaker) = breaker(Breaker { closed: 2, ..Breaker::default() }).await;
    let mut switch = switch(&plan);
    assert_eq!(switch.read().await.unwrap(), Some(true));
    assert_eq!(switch.tell(false).await.unwrap(), Some(false));
    assert_eq!(switch.tell(true).await.unwrap(), Some(true));
    assert_eq!(breaker.lock().unwrap().writes, [[5, 0, 5, 0, 0], [5, 0, 5, 0xff, 0]]);
    // Between open and closed is neither.
    breaker.lock().unwrap().closed = 0;
    assert_eq!(switch.read().await.unwrap(), None);
}

#[tokio::test]
async fn what_says_yes_and_does_nothing_is_told_again_and_then_given_up() {
    let (plan, slow) = breaker(Breaker { closed: 2, deaf: 1, ..Breaker::default() }).await;
    assert_eq!(switch(&plan).tell(false).await.unwrap(), Some(false));
    assert_eq!(slow.lock().unwrap().writes.len(), 2);
    let (plan, deaf) = breaker(Breaker { closed: 2, deaf: 99, ..Breaker::default() }).await;
    assert_eq!(switch(&plan).tell(false).await.unwrap(), Some(true));
    assert_eq!(deaf.lock().unwrap().writes.len(), 3);
}

#[tokio::test]
async fn what_does_not_close_is_not_closed_again() {
    let (plan, trips) = breaker(Breaker { closed: 1, deaf: 99, ..Breaker::default() }).await;
    assert_eq!(switch(&plan).tell(true).await.unwrap(), Some(false));
    assert_eq!(trips.lock().unwrap().writes, [[5, 0, 5, 0xff, 0]]);
}

#[tokio::test]
async fn a_newer_tell_is_not_kept_waiting_by_an_older() {
    let (plan, deaf) = breaker(Breaker { closed: 2, deaf: 1, ..Breaker::default() }).await;
    let mut newer = [None, Some(true), None].into_iter();
    let found = switch(&plan).tell_newest(false, || newer.next().flatten()).await;
    assert_eq!(found.unwrap(), Some(true));
    assert_eq!(deaf.lock().unwrap().writes, [[5, 0, 5, 0, 0], [5, 0, 5, 0xff, 0]]);
}

#[tokio::test]
async fn only_what_is_on_the_list_is_written() {
    let (plan, breaker) = breaker(Breaker { closed: 2, ..Breaker::default() }).await;
    let watched = SwitchPlan { allowed: false, ..plan.clone() };
    let mut other_place = plan.clone();
    other_place.write.at = 7;
    let mut other_value = plan.clone();
    other_value.write.off = 9;
    let mut other_table = plan.clone();
    other_table.write.spot = Spot::Holding;
    let other_device = SwitchPlan { unit_id: 2, ..plan.clone() };
    let mut read_only = plan.clone();
    read_only.write.spot = Spot::Input;
    let list = Arc::new(AllowList::of([&plan, &watched, &read_only]));
    for mut strange in [other_place, other_value, other_table, other_device, read_only] {
        strange.budget = Span::seconds(5);
        let mut switch = Switch::new(strange, Arc::clone(&list));
        let fault = switch.tell(false).await.unwrap_err();
        assert!(matches!(fault, DeviceFault::Forbidden(_)), "{fault}");
    }
    let nothing = Arc::new(AllowList::of([&watched]));
    let fault = Switch::new(watched, nothing).tell(false).await.unwrap_err();
    assert!(fault.to_string().starts_with("failed to write 0 to Coil 5 of device 1"), "{fault}");
    assert_eq!(breaker.lock().unwrap().writes.len(), 0);
}

#[tokio::test]
async fn a_followed_switch_shows_what_it_is_told() {
    let (plan, _breaker) = breaker(Breaker { closed: 2, ..Breaker::default() }).await;
    let (tell, tells) = mpsc::channel(TELLS_MAX);
    let (tx, mut reads) = mpsc::channel(64);
    let follower = tokio::spawn(switch(&plan).follow(SwitchId(4), tells, tx));
    let first = reads.recv().await.unwrap();
    assert_eq!((first.switch, first.closed.unwrap()), (SwitchId(4), Some(true)));
    tell.send(false).await.unwrap();
    while reads.recv().await.unwrap().closed.unwrap() != Some(false) {}
    drop(tell);
    follower.await.unwrap();
}
