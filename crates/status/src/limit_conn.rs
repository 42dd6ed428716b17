//! What a zone of `limit_conn_zone` has counted since the start, as Angie's `/status/http/limit_conns/ZONE` and
//! `/status/stream/limit_conns/ZONE` show it; the originals show nothing of mail.

/// The counters of one zone at one moment. Several servers may count in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitConn {
    /// Connections that were counted and let through.
    pub passed: u64,
    /// Connections that were not counted, because their key was empty.
    pub skipped: u64,
    /// Connections that were turned away because there were as many as there may be.
    pub rejected: u64,
    /// Connections that were turned away because there was no room in the zone.
    pub exhausted: u64,
    /// Connections that would have been rejected, but for `limit_conn_dry_run`.
    pub rejected_dry_run: u64,
    /// Connections that would have been exhausted, but for `limit_conn_dry_run`.
    pub exhausted_dry_run: u64,
    /// Different keys that have connections now.
    pub keys: u64,
}
