//! Random numbers for what nobody must be able to foresee, such as challenges.

use std::cell::RefCell;

/// Numbers that the kernel is asked for at a time: a system call for each would be felt at each login.
const STOCK: usize = 64;

thread_local! {
    static STOCKED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// A number straight from the kernel, and given out once.
pub fn number() -> u64 {
    STOCKED.with_borrow_mut(|stock| {
        if stock.is_empty() {
            let mut bytes = [0; 8 * STOCK];
            getrandom::fill(&mut bytes).expect("the kernel has randomness once it is up");
            stock.extend(bytes.as_chunks().0.iter().copied().map(u64::from_ne_bytes));
        }
        stock.pop().expect("a stock that was just filled")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_is_given_out_twice_also_behind_the_end_of_a_stock() {
        let drawn: HashSet<_> = (0..10 * STOCK).map(|_| number()).collect();
        assert_eq!(drawn.len(), 10 * STOCK);
    }
}
