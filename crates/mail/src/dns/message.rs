//! Messages: the question that is sent, and what a packet that comes back means for it.
//!
//! hickory reads names and records. What may be believed of them is decided here: only what answers the question, by
//! following aliases from its name. Other records of an answer count for nothing.

use std::net::IpAddr;

use hickory_proto::op::{Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::Failure;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Ptr,
}

impl Kind {
    fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Ptr => RecordType::PTR,
        }
    }
}

/// A question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: Kind,
}

/// A record that answers a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Datum {
    Addr(IpAddr),
    Host(Name),
}

impl Datum {
    pub(super) fn addr(&self) -> Option<IpAddr> {
        match self {
            Self::Addr(addr) => Some(*addr),
            Self::Host(_) => None,
        }
    }
}

/// What a packet means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It answers something else, or nothing.
    Foreign,
    /// There is more to say than fits.
    Truncated,
    /// The server could not answer; another one may.
    Failed(Failure),
    /// It answers the question.
    Answer(Answer),
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Records, at least one, good for that many seconds.
    Found { data: Vec<Datum>, ttl: u32 },
    /// The name is an alias of another, after that many steps, and nothing is said of that one.
    Alias { name: Name, steps: usize, ttl: u32 },
    /// There is nothing; good for that many seconds, if that was said (RFC 2308, section 5).
    Nothing { ttl: Option<u32> },
}

impl Question {
    /// The packet that asks.
    pub(super) fn packet(&self, id: u16) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(self.query());
        message.to_vec().expect("a question is far shorter than a message may be")
    }

    fn query(&self) -> Query {
        Query::query(self.name.clone(), self.kind.record_type())
    }

    /// What `packet` means if `id` was asked.
    pub(super) fn read(&self, id: u16, packet: &[u8]) -> Reading {
        let mut decoder = BinDecoder::new(packet);
        let Ok(header) = Header::read(&mut decoder) else { return Reading::Foreign };
        let facts = &header.metadata;
        if facts.id != id || facts.message_type != MessageType::Response || facts.op_code != OpCode::Query {
            return Reading::Foreign;
        }
        // That there is no such name is an answer.
        let failure = Failure::of(facts.response_code).filter(|failure| *failure != Failure::NotFound);
        match (self.repeated(&mut decoder, header.counts.queries), failure) {
            (Repeated::Same, None) if facts.truncation => Reading::Truncated,
            (Repeated::Same, None) => self.read_records(&mut decoder, &header),
            (Repeated::Same | Repeated::Left, Some(failure)) => Reading::Failed(failure),
            (Repeated::Left, None) | (Repeated::Other, _) => Reading::Foreign,
        }
    }

    /// An answer repeats its question, and nothing else (RFC 5452, section 9.1).
    fn repeated(&self, decoder: &mut BinDecoder<'_>, count: u16) -> Repeated {
        match count {
            // A server that does not understand a question may not be able to repeat it.
            0 => Repeated::Left,
            1 if Query::read(decoder).is_ok_and(|query| query == self.query()) => Repeated::Same,
            _ => Repeated::Other,
        }
    }

    fn read_records(&self, decoder: &mut BinDecoder<'_>, header: &Header) -> Reading {
        let mut section = |count: u16| {
            Message::read_records(decoder, count.into(), false, OpCode::Query).map(|(records, _, _)| records)
        };
        let Ok(answers) = section(header.counts.answers) else {
            return Reading::Failed(Failure::ServerFailure);
        };
        // The additional section is not looked at, and the authority section only for a SOA.
        let authorities = section(header.counts.authorities).unwrap_or_default();
        let nothing = Answer::Nothing { ttl: negative_ttl(&authorities) };
        Reading::Answer(match header.metadata.response_code {
            ResponseCode::NoError => self.follow(&answers, nothing),
            _ => nothing,
        })
    }

    /// Goes from alias to alias as far as `records` lead.
    fn follow(&self, records: &[Record], nothing: Answer) -> Answer {
        let (mut name, mut steps, mut ttl) = (&self.name, 0, u32::MAX);
        while let Some((record, alias)) = alias(records, name).filter(|_| steps < records.len()) {
            (name, steps, ttl) = (alias, steps + 1, ttl.min(record.ttl));
        }
        let found: Vec<_> =
            of(records, name).filter_map(|record| self.datum(record).zip(Some(record.ttl))).collect();
        if !found.is_empty() {
            let ttl = found.iter().map(|(_, ttl)| *ttl).fold(ttl, u32::min);
            return Answer::Found { data: found.into_iter().map(|(datum, _)| datum).collect(), ttl };
        }
        // With a SOA the server has looked at the end of the chain, and there is nothing (RFC 2308, section 2.2).
        if steps == 0 || !matches!(nothing, Answer::Nothing { ttl: None }) {
            return nothing;
        }
        Answer::Alias { name: name.clone(), steps, ttl }
    }

    fn datum(&self, record: &Record) -> Option<Datum> {
        match (&record.data, self.kind) {
            (RData::A(addr), Kind::A) => Some(Datum::Addr(addr.0.into())),
            (RData::AAAA(addr), Kind::Aaaa) => Some(Datum::Addr(addr.0.into())),
            (RData::PTR(name), Kind::Ptr) => Some(Datum::Host(name.0.clone())),
            _ => None,
        }
    }
}

/// Whether an answer repeats the question.
enum Repeated {
    Same,
    Other,
    Left,
}

/// Records of `name`. Names are compared without case.
fn of<'a>(records: &'a [Record], name: &'a Name) -> impl Iterator<Item = &'a Record> {
    records.iter().filter(move |record| record.dns_class == DNSClass::IN && record.name == *name)
}

fn alias<'a>(records: &'a [Record], name: &'a Name) -> Option<(&'a Record, &'a Name)> {
    of(records, name).find_map(|record| match &record.data {
        RData::CNAME(target) => Some((record, &target.0)),
        _ => None,
    })
}

fn negative_ttl(authorities: &[Record]) -> Option<u32> {
    authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.minimum.min(record.ttl)),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
