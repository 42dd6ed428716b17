//! The messages that the users begin with: plain text, a folded and encoded header, a multipart, a list mail.

use jiff::Timestamp;

use super::mailbox::{Flags, Message};
use super::store::{Refusal, Store};

/// Puts the samples into the INBOX of each user.
pub(super) fn fill(store: &Store) -> Result<(), Refusal> {
    for sample in SAMPLES {
        let Some(account) = store.account(sample.user.as_bytes()) else { continue };
        let content = store.content(sample.text.into(), store.reserve(sample.text.len())?)?;
        let date = sample.date.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        account.deliver(Message::new(content, sample.flags, date))?;
    }
    Ok(())
}

struct Sample {
    user: &'static str,
    date: &'static str,
    flags: Flags,
    text: &'static str,
}

const SAMPLES: [Sample; 5] = [
    Sample { user: "alice", date: "2025-03-03T08:15:42Z", flags: Flags::SEEN, text: WELCOME },
    Sample { user: "alice", date: "2025-03-04T17:20:03Z", flags: Flags::FLAGGED, text: LUNCH },
    Sample { user: "alice", date: "2025-03-05T06:01:10Z", flags: Flags::NONE, text: REPORT },
    Sample { user: "bob", date: "2025-03-03T08:15:43Z", flags: Flags::SEEN, text: HELLO_BOB },
    Sample { user: "bob", date: "2025-03-04T18:02:11Z", flags: Flags::NONE, text: LUNCH_ANSWER },
];

const WELCOME: &str = "\
Return-Path: <postmaster@example.org>
Date: Mon, 3 Mar 2025 09:15:42 +0100
From: The Postmaster <postmaster@example.org>
To: Alice Liddell <alice@example.org>
Subject: Welcome to the demo
Message-ID: <welcome.1@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: 7bit

Dear Alice,

you read this through gatepost: it asked who you are, looked up where your
mailbox lives, logged in there for you, and has been moving bytes since.

The mailbox lives in the memory of the same process. Write to bob, and he
finds your message over IMAP and POP3 at once. All is forgotten when the
demo ends.

-- 
The Postmaster
";

const LUNCH: &str = "\
Return-Path: <bob@example.org>
Date: Tue, 4 Mar 2025 17:20:01 +0000
From: Bob Builder <bob@example.org>
To: \"Liddell, Alice\" <alice@example.org>
Cc: =?utf-8?Q?Caf=C3=A9_am_Platz?= <cafe@example.com>
Subject: Lunch on Thursday?
Message-ID: <lunch.1@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8; format=flowed
Content-Transfer-Encoding: 8bit

Hi Alice,

shall we try the new caf\u{e9} at half past twelve?
.. and yes, this line begins with two dots: SMTP and POP3 have to keep both.

Bob
";

const REPORT: &str = "\
Return-Path: <reports@example.com>
Date: Wed, 05 Mar 2025 07:01:09 +0100
From: Reports <reports@example.com>
Reply-To: Nobody <no-reply@example.com>
To: Everyone: alice@example.org, bob@example.org;
Subject: Weekly report:
 visitors by day
Message-ID: <report.10@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"=_week_10\"

This is a message with parts, for readers that know MIME.
--=_week_10
Content-Type: text/plain; charset=us-ascii

The visitors of week 10 are attached.

--=_week_10
Content-Type: text/csv; name=\"visitors.csv\"
Content-Disposition: attachment; filename=\"visitors.csv\"
Content-Transfer-Encoding: base64

ZGF5LHZpc2l0b3JzDQptb24sMTIwDQp0dWUsMTM0DQp3ZWQsOTkNCg==

--=_week_10--
";

const HELLO_BOB: &str = "\
Return-Path: <postmaster@example.org>
Date: Mon, 3 Mar 2025 09:15:43 +0100
From: The Postmaster <postmaster@example.org>
To: Bob Builder <bob@example.org>
Subject: Welcome to the demo
Message-ID: <welcome.2@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

Dear Bob,

your mailbox is in the same store as Alice's, but only you see it: the proxy
logs each of you in with your own name.

-- 
The Postmaster
";

const LUNCH_ANSWER: &str = "\
Return-Path: <alice@example.org>
Date: Tue, 4 Mar 2025 18:02:10 +0000
From: Alice Liddell <alice@example.org>
To: Bob Builder <bob@example.org>
Subject: Re: Lunch on Thursday?
Message-ID: <lunch.2@example.org>
In-Reply-To: <lunch.1@example.org>
References: <lunch.1@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

Half past twelve it is.

Alice
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_arrives_under_its_date() {
        let store = Store::new().unwrap();
        for (user, expected) in [("alice", 3), ("bob", 2)] {
            let dates: Vec<_> = store.account(user.as_bytes()).unwrap().quietly(|mailboxes| {
                mailboxes.named("inbox").unwrap().messages().iter().map(|m| m.date).collect()
            });
            assert_eq!(dates.len(), expected);
            assert!(dates.is_sorted() && dates[0] > Timestamp::UNIX_EPOCH);
        }
    }
}
