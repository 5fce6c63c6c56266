// SPDX-License-Identifier: Apache-2.0
// usage: work SECONDS
use std::time::{Duration, Instant};

mod shop {
    #[inline(never)]
    pub fn total<T: Copy + Into<u64>>(items: &[T], start: u64) -> u64 {
        let mut sum = start;
        for _ in 0..2000 {
            for i in items {
                sum = sum.wrapping_add((*i).into() ^ sum);
            }
        }
        sum
    }
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(3.0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let items: Vec<u32> = (0..512).collect();
    let mut sum = 1;
    while Instant::now() < end {
        sum = shop::total(&items, sum);
    }
    println!("{}", sum & 1);
}
