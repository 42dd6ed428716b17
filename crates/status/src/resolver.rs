//! What a `status_zone` of resolvers has counted since the start: Angie's `/status/resolvers/ZONE`.

/// The counters of one zone at one moment. Several resolvers may count in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resolver {
    /// Look-ups that were wanted.
    pub queries: Queries,
    /// Questions that went to a DNS server.
    pub sent: Sent,
    /// How look-ups that took questions ended.
    pub responses: Responses,
}

/// Look-ups that were wanted, those that needed no question included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queries {
    /// Names to addresses; one for A and AAAA together.
    pub name: u64,
    /// Names to services. A mail proxy has none.
    pub srv: u64,
    /// Addresses to names.
    pub addr: u64,
}

/// Questions that went to a DNS server, repeated ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Questions for A.
    pub a: u64,
    /// Questions for AAAA.
    pub aaaa: u64,
    /// Questions for SRV. A mail proxy has none.
    pub srv: u64,
    /// Questions for PTR.
    pub ptr: u64,
}

/// How look-ups that took questions ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Responses {
    /// With a result.
    pub success: u64,
    /// Without any answer in time.
    pub timedout: u64,
    /// RCODE 1.
    pub format_error: u64,
    /// RCODE 2.
    pub server_failure: u64,
    /// RCODE 3, or an answer without records.
    pub not_found: u64,
    /// RCODE 4.
    pub unimplemented: u64,
    /// RCODE 5.
    pub refused: u64,
    /// Any other RCODE.
    pub other: u64,
}
