//! IMAP commands and SASL responses: a look at less never sees more, and where the next look begins is right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::imap::fuzzing::{Reach, Sight, command, response};

/// Every prefix is looked at, so longer inputs only take longer.
const LONGEST: usize = 160;

fn check(input: &[u8], look: impl Fn(&[u8]) -> Sight) {
    let whole = look(input);
    // Nothing new before there is an LF at this place or behind.
    let mut resume = 0;
    for length in 0..input.len() {
        let Sight { prompts, reach } = look(&input[..length]);
        let Reach::Part(next) = reach else {
            // Complete here, so what comes behind does not matter.
            assert_eq!(whole, Sight { prompts, reach });
            return;
        };
        let seen = input.get(resume..length).unwrap_or_default();
        assert!(next >= resume || seen.contains(&b'\n'), "the next look would begin too early");
        assert!(prompts <= whole.prompts);
        resume = next;
    }
    let length = match &whole.reach {
        Reach::Part(_) => return,
        Reach::Malformed(length) | Reach::Whole { length, .. } => *length,
    };
    assert!(length == input.len() && input.ends_with(b"\n"));
    assert!(resume < input.len(), "the end was there, and nobody would have looked");
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&knows_id, input)) = bytes.split_first() else { return };
    let input = &input[..input.len().min(LONGEST)];
    check(input, |input| command(input, knows_id & 1 == 1));
    check(input, response);
    if let Reach::Whole { tag: Some(tag), arguments, .. } = command(input, false).reach {
        let tag = tag.as_ref();
        assert!((1..=32).contains(&tag.len()) && tag.iter().all(|byte| byte.is_ascii_graphic()));
        assert!(arguments.len() <= 3);
    }
});
