//! Who reads the files of a directory in its order, and how many of the next ones to fetch. Pure.

/// Orders that programs follow: of names as listed, and of inode numbers, by which some sort (cp, du).
pub(crate) const ORDERS: usize = 2;

/// Files that may be skipped, or opened out of turn by several threads, without the order being lost.
const DISORDER: usize = 24;

/// Files opened in order before the next ones are fetched.
const SURE: u32 = 2;

/// Files fetched ahead at first, and at most.
const FIRST_WINDOW: usize = 4;
const MAX_WINDOW: usize = 64;

/// The readers of one directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    orders: [Order; ORDERS],
}

#[derive(Clone, Debug, Default)]
struct Order {
    /// Where the next file is expected.
    next: usize,
    /// Up to where files were fetched.
    planned: usize,
    /// Files opened in order.
    hits: u32,
    window: usize,
}

/// Files to fetch: positions in one of the orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) order: usize,
    pub(crate) files: std::ops::Range<usize>,
}

impl Progress {
    /// A reader that went through another directory in order just before.
    pub(crate) fn expecting() -> Self {
        let order = Order { hits: SURE, window: MAX_WINDOW / 2, ..Order::default() };
        Self { orders: [order.clone(), order] }
    }

    /// Whether some order is followed.
    pub(crate) fn sure(&self) -> bool {
        self.orders.iter().any(|order| order.hits >= SURE)
    }

    /// A file is opened, at these positions of `total`. `wasted`: it had been fetched too early to be believed.
    pub(crate) fn opened(&mut self, at: [usize; ORDERS], total: usize, wasted: bool) -> Option<Plan> {
        let mut followed = None;
        for (number, order) in self.orders.iter_mut().enumerate() {
            order.note(at[number]);
            if wasted {
                order.window = (order.window / 4).max(1);
            }
            if order.hits >= SURE && followed.is_none() {
                followed = Some(number);
            }
        }
        let number = followed?;
        let order = &mut self.orders[number];
        let start = order.planned.max(order.next);
        // Asking again only when half is used up lets requests go out together.
        if order.window > 0 && start - order.next > order.window / 2 {
            return None;
        }
        if !wasted {
            order.window = (order.window * 2).clamp(FIRST_WINDOW, MAX_WINDOW);
        }
        let end = (order.next + order.window).min(total);
        order.planned = order.planned.max(end);
        (start < end).then_some(Plan { order: number, files: start..end })
    }
}

impl Order {
    fn note(&mut self, at: usize) {
        if at + DISORDER < self.next || at > self.next + DISORDER {
            *self = Self { next: at + 1, planned: at + 1, ..Self::default() };
            return;
        }
        if at >= self.next {
            self.next = at + 1;
            self.hits = self.hits.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(opens: impl IntoIterator<Item = usize>, total: usize) -> usize {
        let mut progress = Progress::default();
        // In the other order these are everywhere.
        let plans =
            opens.into_iter().filter_map(|at| progress.opened([at, (at * 7_919) % 100_003], total, false));
        plans.map(|plan| plan.files.len()).sum()
    }

    #[test]
    fn all_but_the_first_files_are_fetched_for_those_who_read_in_order() {
        assert_eq!(fetched(0..1000, 1000), 998);
        assert_eq!(fetched((0..1000).step_by(3), 1000) / 100, 9);
    }

    #[test]
    fn threads_that_take_turns_are_in_order() {
        let swapped = (0..250).flat_map(|four| [1, 0, 3, 2].map(|at| four * 4 + at));
        assert!(fetched(swapped, 1000) > 980);
    }

    #[test]
    fn nothing_is_fetched_for_those_who_read_here_and_there() {
        assert!(fetched((0..200).map(|number| (number * 7_919) % 10_007), 10_007) < 30);
        assert_eq!(fetched([5, 5, 5, 5, 5], 1000), 0);
    }

    #[test]
    fn what_came_too_early_makes_the_window_small() {
        let mut progress = Progress::expecting();
        assert_eq!(progress.opened([0, 0], 1000, false).map(|plan| plan.files.len()), Some(64));
        let plans: usize =
            (1..64).filter_map(|at| progress.opened([at, at], 1000, true)).map(|plan| plan.files.len()).sum();
        assert!(plans <= 2, "{plans}");
    }
}
