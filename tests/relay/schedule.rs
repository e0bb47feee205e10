//! Whose turn it is: fair shares by bytes, sparse streams first, nobody starved.

use amrelay::relay::schedule::{Key, QUANTUM, Schedule};
use proptest::prelude::*;

/// A turn's bytes that no real frame exceeds: the largest payload and its header.
const LARGEST: usize = 256 * 1024 + 8;

#[test]
fn nothing_ready_is_nobodys_turn() {
    let mut schedule = Schedule::default();
    let key = schedule.insert(true);
    assert_eq!(schedule.next_turn(), None);
    schedule.set_ready(key);
    assert_eq!(schedule.next_turn(), Some(key));
    schedule.set_idle(key);
    assert_eq!(schedule.next_turn(), None);
    schedule.set_ready(key);
    assert_eq!(schedule.next_turn(), Some(key));
    schedule.remove(key);
    assert_eq!(schedule.next_turn(), None);
}

#[test]
fn a_sparse_stream_goes_before_every_backlogged_one_each_time() {
    let mut schedule = Schedule::default();
    let bulk: Vec<Key> = (0..20).map(|_| schedule.insert(true)).collect();
    for &key in &bulk {
        schedule.set_ready(key);
    }
    let message = schedule.insert(false);
    for turn in 0..500 {
        let key = schedule.next_turn().expect("bulk streams are ready");
        assert_ne!(key, message);
        schedule.charge(key, LARGEST);
        if turn % 3 == 0 {
            schedule.set_ready(message);
            assert_eq!(schedule.next_turn(), Some(message), "turn {turn}");
            schedule.charge(message, 200);
            schedule.set_idle(message);
        }
    }
}

#[test]
fn a_stream_that_uses_up_its_credit_takes_its_turn_behind_the_backlogged() {
    let mut schedule = Schedule::default();
    let bulk = schedule.insert(true);
    let greedy = schedule.insert(false);
    schedule.set_ready(bulk);
    let (mut bulk_bytes, mut greedy_bytes) = (0, 0);
    for _ in 0..10_000 {
        schedule.set_ready(greedy);
        let key = schedule.next_turn().expect("both are ready");
        if key == greedy {
            greedy_bytes += 1000;
            schedule.charge(greedy, 1000);
            schedule.set_idle(greedy);
        } else {
            bulk_bytes += 1000;
            schedule.charge(bulk, 1000);
        }
    }
    let difference = i64::abs_diff(bulk_bytes, greedy_bytes);
    assert!(
        difference <= 3 * QUANTUM as u64,
        "{bulk_bytes} {greedy_bytes}"
    );
}

#[test]
fn a_pipe_that_is_filled_only_while_others_are_read_gets_its_share() {
    // What an ordinary pipe holds.
    const FRAME: usize = 64 * 1024;
    let mut schedule = Schedule::default();
    let keys = [schedule.insert(true), schedule.insert(true)];
    let slow = keys[1];
    let mut sent = [0_usize; 2];
    for _ in 0..1000 {
        schedule.set_ready(keys[0]);
        let key = schedule.next_turn().expect("one of them is always ready");
        schedule.charge(key, FRAME);
        sent[key] += FRAME;
        if key == slow {
            schedule.set_idle(slow);
        } else {
            schedule.set_ready(slow);
        }
    }
    assert!(sent[0].abs_diff(sent[1]) <= 2 * FRAME, "{sent:?}");
}

proptest! {
    /// The deficit round robin's bound: backlogged streams never differ by more than a quantum and two largest frames.
    #[test]
    fn backlogged_streams_get_equal_shares(
        sizes in prop::collection::vec(prop::collection::vec(1..LARGEST, 1..8), 2..12),
        bulk in any::<bool>(),
    ) {
        let mut schedule = Schedule::default();
        let keys: Vec<Key> = sizes.iter().map(|_| schedule.insert(bulk)).collect();
        let mut sent = vec![0_usize; keys.len()];
        let mut turns = vec![0_usize; keys.len()];
        for &key in &keys {
            schedule.set_ready(key);
        }
        for _ in 0..2000 {
            let key = schedule.next_turn().expect("all are ready");
            let bytes = sizes[key][turns[key] % sizes[key].len()];
            schedule.charge(key, bytes);
            sent[key] += bytes;
            turns[key] += 1;
            let most = sent.iter().max().unwrap();
            let least = sent.iter().min().unwrap();
            prop_assert!(most - least <= QUANTUM + 2 * LARGEST, "{:?}", sent);
        }
    }

    /// Whatever the others do, a stream that stays ready is served within a bounded number of bytes.
    #[test]
    fn nobody_starves(
        actions in prop::collection::vec((0..8_usize, any::<bool>(), 1..LARGEST), 1..3000),
    ) {
        let mut schedule = Schedule::default();
        let keys: Vec<Key> = (0..8).map(|number| schedule.insert(number < 2)).collect();
        let victim = keys[0];
        let mut others = 0;
        schedule.set_ready(victim);
        for (other, ready, bytes) in actions {
            if ready {
                schedule.set_ready(keys[other]);
            } else if keys[other] != victim {
                schedule.set_idle(keys[other]);
            }
            let key = schedule.next_turn().expect("the victim is ready");
            schedule.charge(key, bytes);
            if key == victim {
                others = 0;
            } else {
                others += bytes;
            }
            prop_assert!(others <= 2 * 7 * (QUANTUM + LARGEST), "{others}");
        }
    }

    /// A stream is given a turn only while it is ready, and some stream is given one whenever any is.
    #[test]
    fn turns_go_to_ready_streams_only(
        actions in prop::collection::vec((0..6_usize, 0..4_u8), 1..500),
    ) {
        let mut schedule = Schedule::default();
        let mut live: Vec<Option<(Key, bool)>> = vec![None; 6];
        for (slot, action) in actions {
            match (action, live[slot]) {
                (0, None) => live[slot] = Some((schedule.insert(slot % 2 == 0), false)),
                (0, Some((key, _))) => {
                    schedule.remove(key);
                    live[slot] = None;
                }
                (1, Some((key, _))) => {
                    schedule.set_ready(key);
                    live[slot] = Some((key, true));
                }
                (2, Some((key, _))) => {
                    schedule.set_idle(key);
                    live[slot] = Some((key, false));
                }
                (_, Some((key, _))) => schedule.charge(key, 100_000),
                (_, None) => {}
            }
            let ready: Vec<Key> = live.iter().flatten().filter(|(_, ready)| *ready).map(|(key, _)| *key).collect();
            match schedule.next_turn() {
                Some(key) => prop_assert!(ready.contains(&key)),
                None => prop_assert!(ready.is_empty()),
            }
        }
    }
}
