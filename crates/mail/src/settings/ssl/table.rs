//! The table of the ssl module's directives.

use conf::{Args, Count, Directive, doc};

use super::{
    SslBlock, certificate, conf_command, depth, key_source, passphrases, session_cache, starttls,
    verify_client, versions,
};

const ONE: Count = Count::Exactly(1);

/// Directives of the ssl module.
pub const SSL: &[Directive<SslBlock>] = &[
    Directive::new(
        "starttls",
        ONE,
        doc(
            "off | on | only",
            "off",
            "Whether clients may (`on`) or must (`only`) begin TLS in a plain connection, by STARTTLS or STLS, \
             before they log in. A server with `starttls` or `listen … ssl` needs a certificate.",
        ),
        |b, a| b.starttls.set(a, starttls),
    ),
    Directive::new(
        "ssl_certificate",
        Count::Between(1, 2),
        doc(
            "FILE | data:PEM [for=NAME[,NAME…]]",
            "",
            "A certificate with its chain, leaf first. May be repeated, for keys of other types and for other \
             names: a client that asks for a name (SNI) gets the certificate that is for it, any other client the \
             first. A certificate is for the names in it, unless `for=` says others; `*.example.org` stands for \
             one label. `for=`, and names at all, are not in the originals.",
        ),
        |b, a| {
            b.certificates.push(certificate(a)?);
            Ok(())
        },
    ),
    Directive::new(
        "ssl_certificate_key",
        ONE,
        doc(
            "FILE | data:PEM",
            "",
            "The key of a certificate, in the order of the certificates. RSA of 2048 bits and more, ECDSA over \
             P-256, P-384 and P-521, and Ed25519. `engine:` and `store:` are refused.",
        ),
        |b, a| {
            b.keys.push(key_source(a)?);
            Ok(())
        },
    ),
    Directive::new(
        "ssl_password_file",
        ONE,
        doc("FILE", "", "Pass phrases of keys, one in a line; each is tried with each key."),
        |b, a| b.passphrases.set(a, passphrases),
    ),
    Directive::new(
        "ssl_certificate_compression",
        ONE,
        doc("on | off", "off", "Whether certificates are sent compressed (RFC 8879)."),
        |b, a| b.certificate_compression.set(a, Args::flag),
    ),
    Directive::new(
        "ssl_protocols",
        Count::AtLeast(1),
        doc(
            "[SSLv2] [SSLv3] [TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]",
            "TLSv1.2 TLSv1.3",
            "The versions of TLS that clients may use. Those before 1.2 are not to be had: a list that has them \
             beside newer ones is warned of, one of nothing else is refused.",
        ),
        |b, a| b.protocols.add(a, &versions()),
    ),
    Directive::new(
        "ssl_ciphers",
        ONE,
        doc(
            "LIST",
            "HIGH:!aNULL:!MD5",
            "The cipher suites of TLS 1.2 that clients may use, as OpenSSL writes them: names, groups such as \
             `ECDHE+AESGCM`, and `!`, `-`, `+`, `@STRENGTH`. There are ECDHE suites with AES-GCM and ChaCha20. \
             For TLS 1.3 see `ssl_conf_command`.",
        ),
        |b, a| b.ciphers.set(a, Args::string),
    ),
    Directive::new(
        "ssl_prefer_server_ciphers",
        ONE,
        doc("on | off", "off", "Whether the server's order of cipher suites decides, or the client's."),
        |b, a| b.prefer_server_ciphers.set(a, Args::flag),
    ),
    Directive::new(
        "ssl_ecdh_curve",
        ONE,
        doc(
            "NAME[:NAME…] | auto",
            "auto",
            "The groups of key exchanges, best first, such as `X25519MLKEM768:X25519:prime256v1`.",
        ),
        |b, a| b.ecdh_curve.set(a, Args::string),
    ),
    Directive::accepted(
        "ssl_dhparam",
        ONE,
        "there are no cipher suites with finite-field key exchange",
        doc("FILE", "", "Parameters of DHE cipher suites. The file must be there and hold some."),
        |b, a| b.dhparam.set(a, |a| Ok(a.path_in_directory())),
    ),
    Directive::new(
        "ssl_session_cache",
        Count::Between(1, 2),
        doc(
            "off | none | [builtin[:SESSIONS]] [shared:NAME:SIZE]",
            "none",
            "Where sessions are kept for resumption by id: nowhere, in a cache of the server's own, or in one \
             that all servers share that name it, which survives a reload. Sessions of servers with other \
             certificates are never resumed. Tickets do without.",
        ),
        session_cache,
    ),
    Directive::new(
        "ssl_session_tickets",
        ONE,
        doc("on | off", "on", "Whether sessions are resumed with tickets."),
        |b, a| b.session_tickets.set(a, Args::flag),
    ),
    Directive::new(
        "ssl_session_ticket_key",
        ONE,
        doc(
            "FILE",
            "",
            "A key for tickets, of 48 or 80 random bytes. May be repeated: the first encrypts, all decrypt. \
             Without any the keys are random, and survive a reload.",
        ),
        |b, a| {
            b.session_ticket_keys.push(a.path_in_directory());
            Ok(())
        },
    ),
    Directive::new(
        "ssl_session_timeout",
        ONE,
        doc("TIME", "5m", "How long a session may be resumed, with tickets too."),
        |b, a| b.session_timeout.set(a, Args::sec),
    ),
    Directive::new(
        "ssl_verify_client",
        ONE,
        doc(
            "off | on | optional | optional_no_ca",
            "off",
            "Whether clients are asked for certificates: never; they must have a good one; it must be good if \
             they have one; or it may also come from an authority that nobody trusts. The auth server is told.",
        ),
        |b, a| b.verify_client.set(a, verify_client),
    ),
    Directive::new(
        "ssl_verify_depth",
        ONE,
        doc("NUMBER", "1", "How many intermediate authorities a client's certificate may have."),
        |b, a| b.verify_depth.set(a, depth),
    ),
    Directive::new(
        "ssl_client_certificate",
        ONE,
        doc("FILE", "", "Authorities of client certificates; their names are sent to clients."),
        |b, a| b.client_certificate.set(a, |a| Ok(a.path_in_directory())),
    ),
    Directive::new(
        "ssl_trusted_certificate",
        ONE,
        doc("FILE", "", "Authorities of client certificates; their names are not sent."),
        |b, a| b.trusted_certificate.set(a, |a| Ok(a.path_in_directory())),
    ),
    Directive::new(
        "ssl_crl",
        ONE,
        doc(
            "FILE",
            "",
            "Revoked certificates of clients and their authorities, for every level of the chain.",
        ),
        |b, a| b.crl.set(a, |a| Ok(a.path_in_directory())),
    ),
    Directive::new(
        "ssl_conf_command",
        Count::Exactly(2),
        doc(
            "NAME VALUE",
            "",
            "A configuration command of OpenSSL; it wins over the other directives. There are `Ciphersuites`, \
             `Groups` and `Curves`, `MinProtocol`, `MaxProtocol`, `Options` (`SessionTicket` and \
             `ServerPreference`, or with `-` in front), `Certificate` and `PrivateKey`. May be repeated.",
        ),
        |b, a| {
            b.conf_commands.push(conf_command(a)?);
            Ok(())
        },
    ),
];
